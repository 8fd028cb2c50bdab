// A gateway of IPFS on the loopback that has what is in some CARs, made with web3.storage's library of gateways.
//
//     node --input-type=module --eval "$(cat gateway.mjs)" CAR...       in the folder of the npm packages
//
// Parsing a request, its status, its headers and its body are @web3-storage/gateway-lib's; here are a store of blocks
// in memory, which is never checked, and a socket. It prints its port, and ends with its standard input.

import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { CarReader } from '@ipld/car'
import * as handlers from '@web3-storage/gateway-lib/handlers'
import * as parts from '@web3-storage/gateway-lib/middleware'
import { Dagula } from 'dagula'

const held = new Map()
const key = cid => Buffer.from(cid.multihash.digest).toString('hex')
for (const path of process.argv.slice(1)) {
  const car = await CarReader.fromBytes(await readFile(path))
  for await (const { cid, bytes } of car.blocks()) held.set(key(cid), bytes)
}

const dagula = new Dagula({
  get: async cid => held.has(key(cid)) ? { cid, bytes: held.get(key(cid)) } : undefined,
  stat: async cid => held.has(key(cid)) ? { size: held.get(key(cid)).length } : undefined,
  stream: async (cid, { range } = {}) => {
    const [first, last] = range ?? []
    return held.has(key(cid)) ? new Blob([held.get(key(cid)).subarray(first, last + 1 || undefined)]).stream() : undefined
  }
})
const withBlocks = handler => (request, env, context) =>
  handler(request, env, { ...context, blocks: dagula, dag: dagula, unixfs: dagula })
const byFormat = { raw: handlers.handleBlock, car: handlers.handleCar }
const answer = parts.composeMiddleware(
  parts.withContext,
  parts.withCorsHeaders,
  parts.withContentDispositionHeader,
  parts.withErrorHandler,
  parts.createWithHttpMethod('GET', 'HEAD'),
  parts.withParsedIpfsUrl,
  withBlocks
)((request, env, context) =>
  (byFormat[context.searchParams.get('format')] ?? handlers.handleUnixfs)(request, env, context))

const server = createServer(async ({ method, url, headers }, response) => {
  const request = new Request(`http://${headers.host}${url}`, { method, headers })
  const made = await answer(request, {}, { waitUntil: () => {} })
  response.writeHead(made.status, Object.fromEntries(made.headers))
  if (!made.body) return response.end()
  await pipeline(Readable.fromWeb(made.body), response).catch(() => {}) // whoever asked has gone
})
server.listen(0, '127.0.0.1', () => process.stdout.write(server.address().port + '\n'))
process.stdin.on('end', () => process.exit(0)).resume()
