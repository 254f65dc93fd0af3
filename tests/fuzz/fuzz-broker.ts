import assert from 'node:assert/strict'
import { connect as connectSocket, type Socket } from 'node:net'
import { ByteWriter, seededRandom } from '@tidelog/core'
import { connect } from '@tidelog/net'
import { type Api, ApiVersions, apiByKey, Heartbeat, Metadata, writeRequestHeader } from '@tidelog/protocol'
import { startTestBroker } from '@tidelog/tidelog'
import { mutate, randomRequestBody } from './generate.ts'

/** Requests of one connection that are sent before it is looked at again; a malformed one closes it, and the rest is lost with it. */
const burst = 16

/** Sends broken requests of every API that a broker serves, and makes sure that it goes on serving others. */
export async function fuzzBroker({ cases, seed }: { readonly cases: number; readonly seed: number }): Promise<void> {
  const broker = await startTestBroker({ config: { 'num.partitions': '1', 'auto.create.topics.enable': 'false' } })
  try {
    const { host, port } = broker
    const bystander = await connect({ host, port, clientId: 'bystander', requestTimeoutMs: 10_000 })
    const { apiKeys } = await bystander.send(ApiVersions, 3, { clientSoftwareName: 'fuzz', clientSoftwareVersion: '1' })
    const served = apiKeys.map(({ apiKey, minVersion, maxVersion }) => ({ api: apiByKey(apiKey) as Api, minVersion, maxVersion }))
    const random = seededRandom(seed)
    for (let done = 0; done < cases; done += burst) {
      const frames: Buffer[] = []
      for (let i = 0; i < burst; i++) {
        const { api, minVersion, maxVersion } = served[(done + i) % served.length]!
        const version = minVersion + random.int(maxVersion - minVersion + 1)
        frames.push(frameOf(api, version, mutate(randomRequestBody(api, version, random), random)))
      }
      await sendAndLeave(host, port, Buffer.concat(frames))
      if (done % (burst * 256) === 0) {
        const { brokers } = await bystander.send(Metadata, 1, { topics: [] })
        assert.equal(brokers.length, 1, `the bystander is served after ${done} cases`)
      }
    }
    bystander.close()
  } finally {
    await broker.close()
  }
}

const soundId = 0x5eed5eed
/** Heartbeat v0 of a group that nobody has: its answer is short and ends with error 16, 25 or what the broker makes of it. */
const soundRequest = (() => {
  const writer = new ByteWriter()
  Heartbeat.request.codec(0).write(writer, { groupId: 'fuzz-end', generationId: 1, memberId: 'nobody' })
  return frameOf(Heartbeat as unknown as Api, 0, writer.toBuffer(), soundId)
})()
const soundAnswer = Buffer.from([0x5e, 0xed, 0x5e, 0xed])

function frameOf(api: Api, version: number, body: Buffer, correlationId = 1): Buffer {
  const header = new ByteWriter()
  writeRequestHeader(
    header,
    { requestApiKey: api.key, requestApiVersion: version, correlationId, clientId: 'fuzz' },
    api.requestHeaderVersion(version),
  )
  const prefix = Buffer.alloc(4)
  prefix.writeInt32BE(header.byteLength + body.length)
  return Buffer.concat([prefix, header.toBuffer(), body])
}

/**
 * Sends the bytes on a connection of its own, with a sound request behind them, and waits until the broker has answered that one or closed
 * the connection; a request that waits on purpose (Fetch, JoinGroup) is left after a moment.
 */
function sendAndLeave(host: string, port: number, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connectSocket({ host, port })
    const leave = () => socket.destroy()
    const timer = setTimeout(leave, 30)
    let tail = Buffer.alloc(0)
    socket.on('data', (chunk) => {
      tail = Buffer.concat([tail, chunk]).subarray(-64)
      if (tail.includes(soundAnswer)) leave()
    })
    socket.on('error', (error: NodeJS.ErrnoException) => (error.code === 'ECONNREFUSED' ? reject(error) : undefined))
    socket.on('end', leave)
    socket.on('close', () => {
      clearTimeout(timer)
      resolve()
    })
    socket.write(Buffer.concat([bytes, soundRequest]))
  })
}
