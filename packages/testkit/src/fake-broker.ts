import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { ByteReader, ByteWriter } from '@tidelog/core'
import { FrameReader } from '@tidelog/net'
import {
  type Api,
  ApiVersions,
  apiByKey,
  Metadata,
  RequestHeader,
  type RequestOf,
  ResponseHeader,
  type ResponseInput,
} from '@tidelog/protocol'
import { framed } from './raw-peer.ts'

/** Something with an `after`: node:test's TestContext. */
interface Cleanup {
  after(close: () => void | Promise<void>): void
}

/** What a fake broker answers to an API; undefined: nothing, ever. */
type Answer<A> = (request: RequestOf<A>, version: number) => ResponseInput<A> | undefined

export interface FakeBroker {
  readonly nodeId: number
  readonly host: string
  readonly port: number
  readonly bootstrapServers: string
  /** Serves an API from now on, or serves it differently. `versions` are what ApiVersions announces: all that we know unless given. */
  serve<A extends Api>(api: A, answer: Answer<A>, versions?: readonly [oldest: number, newest: number]): void
  /** Requests so far of an API, in order. */
  requests<A extends Api>(api: A): RequestOf<A>[]
  /** Breaks every connection. */
  disconnect(): void
  /** As disconnect(), and takes no new ones. */
  stop(): void
  /** May change the bytes of an answer. */
  damage: ((api: Api, body: Buffer) => void) | undefined
}

interface Served {
  readonly answer: (request: never, version: number) => unknown
  readonly versions: readonly [number, number]
}

/**
 * A broker of which a test makes up every answer, for what a client does about answers that a real one seldom gives. It serves ApiVersions, and Metadata
 * that names itself as the one broker and controller.
 */
export async function fakeBroker(t: Cleanup, { nodeId = 1 }: { nodeId?: number } = {}): Promise<FakeBroker> {
  const served = new Map<number, Served>()
  const received: { readonly key: number; readonly request: unknown }[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    const reader = new FrameReader(2 ** 24)
    socket.on('data', (chunk) => reader.push(chunk, (frame) => answerTo(socket, frame)))
  })
  const answerTo = (socket: Socket, frame: Buffer): void => {
    const api = apiByKey(frame.readInt16BE(0))!
    const version = frame.readInt16BE(2)
    const input = new ByteReader(Buffer.from(frame))
    const { correlationId } = RequestHeader.codec(api.requestHeaderVersion(version)).read(input)
    const request = api.request.codec(version).read(input)
    received.push({ key: api.key, request })
    const answer = served.get(api.key)?.answer(request as never, version)
    if (answer === undefined) return
    const header = new ByteWriter()
    ResponseHeader.codec(api.responseHeaderVersion(version)).write(header, { correlationId })
    const body = new ByteWriter()
    api.response.codec(version).write(body, answer as never)
    const bytes = Buffer.from(body.toBuffer())
    broker.damage?.(api, bytes)
    socket.write(framed(Buffer.concat([header.toBuffer(), bytes])))
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const disconnect = () => {
    for (const socket of sockets) socket.destroy()
  }
  const stop = () => {
    server.close()
    disconnect()
  }
  t.after(stop)
  const broker: FakeBroker = {
    nodeId,
    host: '127.0.0.1',
    port,
    bootstrapServers: `127.0.0.1:${port}`,
    serve(api, answer, versions = api.announced) {
      served.set(api.key, { answer, versions })
    },
    requests: (api) => received.filter(({ key }) => key === api.key).map(({ request }) => request as never),
    disconnect,
    stop,
    damage: undefined,
  }
  broker.serve(ApiVersions, () => ({
    errorCode: 0,
    apiKeys: [...served].map(([apiKey, { versions }]) => ({ apiKey, minVersion: versions[0], maxVersion: versions[1] })),
  }))
  broker.serve(Metadata, () => metadataOf([broker]))
  return broker
}

/** What Metadata says of a cluster of fake brokers without topics. */
export const metadataOf = (brokers: readonly FakeBroker[], controllerId = brokers[0]!.nodeId): ResponseInput<typeof Metadata> => ({
  brokers: brokers.map(({ nodeId, host, port }) => ({ nodeId, host, port })),
  clusterId: 'c',
  controllerId,
  topics: [],
})
