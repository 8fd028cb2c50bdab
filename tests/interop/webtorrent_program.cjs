// WebTorrent as a seed or a leech that talks to this machine alone; NODE_PATH names the folder of the npm package.
//
//     node webtorrent_program.cjs FILE.torrent|MAGNET FOLDER PORT...
//
// What lies in FOLDER already is hashed first. Each PORT is that of a peer on the loopback. Once it knows the torrent
// it prints the port where it listens, and then, for every line that comes on its standard input, a line of JSON:
// [whole, bytes that are there and right, bytes sent]. It ends with its standard input.

const fs = require('fs')
const readline = require('readline')
const WebTorrent = require('webtorrent')

const [what, folder, ...ports] = process.argv.slice(2)
const client = new WebTorrent({
  torrentPort: { host: '127.0.0.1', port: 0 },
  tracker: false,
  dht: false,
  lsd: false,
  utp: false,
  utPex: false,
  natUpnp: false,
  natPmp: false,
  webSeeds: false
})
const tell = value => process.stdout.write(JSON.stringify(value) + '\n')
const fail = error => {
  console.error(error)
  process.exit(1)
}
client.on('error', fail)
// Without a cache: what it sends is what lies on the disk at that time.
const torrent = client.add(what.startsWith('magnet:') ? what : fs.readFileSync(what), { path: folder, storeCacheSlots: 0 })
torrent.on('error', fail)
torrent.on('infoHash', () => {
  for (const port of ports) torrent.addPeer(`127.0.0.1:${port}`)
})
torrent.on('ready', () => {
  tell(client.address().port)
  const questions = readline.createInterface({ input: process.stdin })
  questions.on('line', () => tell([torrent.done, torrent.downloaded, torrent.uploaded]))
  questions.on('close', () => process.exit(0))
})
