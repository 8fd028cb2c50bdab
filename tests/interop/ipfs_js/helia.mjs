// Helia, the IPFS of JavaScript: fetches from one gateway and from nobody else, or cuts files in whichever way is asked.
//
//     node --input-type=module --eval "$(cat helia.mjs)" COMMAND...      in the folder of the npm packages
//
//     get GATEWAY CID PATH     a file, or a folder with all that is below it; Helia holds each block against its CID
//     add FILE CAR OPTIONS     the blocks of a file as a CAR; OPTIONS in JSON: chunk, children, layout, and whatever
//                              ipfs-unixfs-importer takes besides
//     shard COUNT CAR          the blocks of a folder with so many files, spread over several nodes (HAMT)
//
// It prints the CID.

import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { trustlessGateway } from '@helia/block-brokers'
import { createHeliaHTTP } from '@helia/http'
import { httpGatewayRouting } from '@helia/routers'
import { unixfs } from '@helia/unixfs'
import { CarWriter } from '@ipld/car'
import { MemoryBlockstore } from 'blockstore-core'
import { fixedSize } from 'ipfs-unixfs-importer/chunker'
import { balanced, trickle } from 'ipfs-unixfs-importer/layout'
import { CID } from 'multiformats/cid'

// What node has from version 22 on, and newer parts of Helia take for granted.
Promise.withResolvers ??= function () {
  const made = {}
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }))
  return made
}

async function get (gateway, text, path) {
  const helia = await createHeliaHTTP({
    blockBrokers: [trustlessGateway({ allowInsecure: true, allowLocal: true })],
    routers: [httpGatewayRouting({ gateways: [gateway] })] // else it asks a public server who has what
  })
  const files = unixfs(helia)
  const signal = AbortSignal.timeout(30_000)
  const write = async (cid, path) => {
    if ((await files.stat(cid, { signal })).type !== 'directory') {
      return pipeline(files.cat(cid, { signal }), createWriteStream(path))
    }
    await mkdir(path)
    for await (const entry of files.ls(cid, { signal })) await write(entry.cid, `${path}/${entry.name}`)
  }
  const cid = CID.parse(text)
  await write(cid, path)
  return cid
}

async function keep (path, make) {
  const store = new MemoryBlockstore()
  const root = await make(unixfs({ blockstore: store }))
  const { writer, out } = CarWriter.create(root)
  const written = pipeline(Readable.from(out), createWriteStream(path))
  for await (const { cid, block } of store.getAll()) await writer.put({ cid, bytes: block })
  await writer.close()
  await written
  return root
}

function add (file, path, text) {
  const { chunk, children, layout, ...rest } = JSON.parse(text)
  const options = {
    chunker: fixedSize({ chunkSize: chunk }),
    layout: (layout === 'trickle' ? trickle : balanced)({ maxChildrenPerNode: children }),
    ...rest
  }
  return keep(path, files => files.addByteStream(createReadStream(file), options))
}

function shard (count, path) {
  const candidates = Array.from({ length: Number(count) }, (_, number) => ({
    path: `files/${number}`, content: Buffer.from(`${number}`)
  }))
  return keep(path, async files => {
    let root
    for await (const found of files.addAll(candidates, { shardSplitThresholdBytes: 1 })) root = found.cid
    return root // the folder comes last
  })
}

const [command, ...words] = process.argv.slice(1)
console.log(String(await { get, add, shard }[command](...words)))
process.exit(0) // connections are kept open
