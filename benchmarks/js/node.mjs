// One js-libp2p node with Kademlia, driven by lines on its standard input as kadoro_node is.

import { identify } from '@libp2p/identify'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

const say = (line) => process.stdout.write(JSON.stringify(line) + '\n')
/** By the clock that the runner and all contestants share. */
const tell = (event) => say({ event, mono_ms: nowUs() / 1000 })
const nowUs = () => Number(process.hrtime.bigint()) / 1000
const rest = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

tell('started')

const streams = { maxInboundStreams: 100_000, maxOutboundStreams: 100_000 }
const queryOptions = () => ({ ...streams, signal: AbortSignal.timeout(10_000) })
/** Announced it is when as many nodes hold it as a majority of four replicas. */
const COPIES = 3

/** A word and its `name=value` settings. */
class Command {
  constructor (parts) {
    this.settings = new Map()
    for (const part of parts) {
      const equals = part.indexOf('=')
      if (equals < 0) this.word = part
      else this.settings.set(part.slice(0, equals), part.slice(equals + 1))
    }
  }

  text (name, otherwise = '') {
    return this.settings.get(name) ?? otherwise
  }

  number (name, otherwise = 0) {
    return this.settings.has(name) ? Number(this.settings.get(name)) : otherwise
  }
}

/** Bytes that do not compress: splitmix64 from a hash of the key, as in common/command.hpp. */
function valueOf (key, bytes) {
  const word = (x) => BigInt.asUintN(64, x)
  let state = 14695981039346656037n
  for (const c of Buffer.from(key)) state = word((state ^ BigInt(c)) * 1099511628211n)
  const out = Buffer.alloc(Math.ceil(bytes / 8) * 8)
  for (let at = 0; at < bytes; at += 8) {
    state = word(state + 0x9e3779b97f4a7c15n)
    let mixed = state
    mixed = word((mixed ^ (mixed >> 30n)) * 0xbf58476d1ce4e5b9n)
    mixed = word((mixed ^ (mixed >> 27n)) * 0x94d049bb133111ebn)
    out.writeBigUInt64LE(mixed ^ (mixed >> 31n), at)
  }
  return new Uint8Array(out.subarray(0, bytes))
}

/** Validators and selectors go by the first part of a key. */
const keyOf = (name) => new TextEncoder().encode(`/bench/${name}`)

/** Its best: every query asks all at once, nothing is limited, no query waits for one for itself. */
function build (listen, clientMode) {
  const [host, port] = listen.split(':')
  return createLibp2p({
    addresses: { listen: [`/ip4/${host}/tcp/${port}`] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux({ ...streams, maxEarlyStreams: 100_000 })],
    connectionManager: {
      maxConnections: 100_000,
      maxIncomingPendingConnections: 100_000,
      maxParallelDials: 1000,
      inboundConnectionThreshold: Infinity
    },
    connectionMonitor: { enabled: false },
    services: {
      identify: identify(streams),
      ping: ping(streams),
      dht: kadDHT({
        protocol: '/bench/kad/1.0.0',
        clientMode,
        alpha: 16,
        peerInfoMapper: passthroughMapper,
        allowQueryWithZeroPeers: true,
        initialQuerySelfInterval: 10,
        validators: { bench: () => {} },
        selectors: { bench: () => 0 },
        ...streams
      })
    }
  })
}

/** Tells `stored` how many nodes have stored it, as they answer; ends when all have. */
async function put (dht, key, value, stored = () => {}) {
  let copies = 0
  for await (const event of dht.put(key, value, queryOptions())) {
    if (event.name === 'PEER_RESPONSE' && event.messageName === 'PUT_VALUE') stored(++copies)
  }
}

/** Ends with the `needed`th copy, as kadoro's. The put goes on behind it: if its events were not read to their end, the
 * others would not be asked to store. */
function putOn (needed, dht, key, value) {
  return new Promise((resolve, reject) => {
    let copies = 0
    put(dht, key, value, (stored) => {
      copies = stored
      if (stored === needed) resolve(stored)
    }).then(() => reject(new Error(`stored on ${copies} of ${needed}`)), reject) // without effect once it has ended
  })
}

/** The first value that anybody answers with; one copy is enough, so the query ends there. */
async function get (dht, key, found = () => {}) {
  for await (const event of dht.get(key, queryOptions())) {
    if (event.name === 'PEER_RESPONSE' && event.record != null) {
      found()
      return event.record.value
    }
  }
  throw new Error('nobody has it')
}

/** Of the replicas, as kadoro's: the library has none. */
function quorumOf (text, replicas) {
  if (text === 'all') return replicas
  if (text === 'majority') return Math.floor(replicas / 2) + 1
  throw new Error(`no such quorum: ${text}`)
}

/** The operations that a `put` or `get` line asks for, `in_flight` of them at a time. */
async function operate (dht, command, replicas) {
  const plan = Array.from({ length: command.number('count', 1) }, (_, i) => {
    const name = `${command.text('tag', 'a')}/${command.number('first') + i}`
    return { key: keyOf(name), value: valueOf(name, command.number('bytes', 300)) }
  })
  const needed = quorumOf(command.text('quorum', 'all'), replicas)
  const out = { us: [], failures: 0, why: '' }
  let next = 0
  async function one ({ key, value }) {
    let ended
    const began = nowUs()
    if (command.word === 'get') {
      const said = await get(dht, key, () => { ended = nowUs() })
      if (Buffer.compare(said, value) !== 0) throw new Error('another value')
    } else {
      const stored = await putOn(needed, dht, key, value)
      ended = nowUs()
      out.receipt = { stored }
    }
    out.us.push(Math.round((ended - began) * 100) / 100)
  }
  async function work () {
    while (next < plan.length) {
      await one(plan[next++]).catch((error) => {
        out.failures++
        out.why = String(error).slice(0, 200)
      })
    }
  }
  const began = nowUs()
  await Promise.all(Array.from({ length: command.number('in_flight', 1) }, work))
  return { ...out, seconds: (nowUs() - began) / 1e6 }
}

/** A swarm of shards: one is announced here, all others are sought until they are seen. */
function findShards (dht, own, total) {
  const keyOfShard = (shard) => keyOf(`shard/${shard}`)
  const againUntil = async (done, attempt) => {
    while (!done()) {
      if (dht.routingTable.size > 0) await attempt().catch(() => {})
      if (!done()) await rest(2)
    }
  }
  let announced = false
  const stored = (copies) => {
    if (copies < COPIES || announced) return
    announced = true
    tell('announced')
  }
  const announce = () => put(dht, keyOfShard(own), new Uint8Array(120).fill(1), stored)
  const seen = new Set([own])
  const found = (shard) => {
    seen.add(shard)
    if (seen.size === total) tell('complete')
  }
  againUntil(() => announced, announce)
  for (let shard = 0; shard < total; shard++) {
    againUntil(() => seen.has(shard), () => get(dht, keyOfShard(shard), () => found(shard)))
  }
}

function usage () {
  const { userCPUTime, systemCPUTime } = process.resourceUsage()
  const pages = Number(readFileSync('/proc/self/statm', 'utf8').split(' ')[1])
  return { cpu_s: (userCPUTime + systemCPUTime) / 1e6, rss_bytes: pages * 4096 }
}

const settings = new Command(process.argv.slice(2))
const replicas = settings.number('replicas', 7) // that must have stored a put, or it has failed
const node = await build(settings.text('listen', '127.0.0.1:0'), settings.text('mode') === 'client')
const dht = node.services.dht
const { version } = JSON.parse(readFileSync(new URL('node_modules/libp2p/package.json', import.meta.url)))
say({ address: node.getMultiaddrs()[0].toString(), backend: `js-libp2p ${version}` })

const meet = (address) => node.dial(multiaddr(address)).catch((error) => process.stderr.write(`${error}\n`))
if (settings.text('bootstrap')) meet(settings.text('bootstrap'))
if (settings.number('shards') > 0) findShards(dht, settings.number('shard'), settings.number('shards'))

const commands = {
  put: (command) => operate(dht, command, replicas),
  get: (command) => operate(dht, command, replicas),
  meet: async (command) => {
    await Promise.all(command.text('nodes').split(',').filter(Boolean).map(meet))
    return { met: true }
  },
  state: () => ({ peers: dht.routingTable.size }),
  usage,
  quit: () => process.exit()
}

for await (const line of createInterface({ input: process.stdin })) {
  const command = new Command(line.split(/\s+/).filter(Boolean))
  say(await (commands[command.word]?.(command) ?? { error: `no such command: ${command.word}` }))
}
process.exit()
