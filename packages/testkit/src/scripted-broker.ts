import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type TlsOptions } from 'node:tls'
import { ByteReader, ByteWriter } from '@tidelog/core'
import { FrameReader } from '@tidelog/net'
import { type Api, ApiVersions, apiByKey, Metadata, ResponseHeader, readRequestHeader } from '@tidelog/protocol'
import { framed } from './raw-peer.ts'

/** Something with an `after`: node:test's TestContext. */
interface Cleanup {
  after(close: () => void | Promise<void>): void
}

/** A request as a scripted broker sees it. */
export interface ScriptedCall {
  readonly api: Api
  readonly version: number
  /** As the API's codec reads it. */
  readonly request: Readonly<Record<string, unknown>>
  readonly socket: Socket
  /** Counts the connections, from 0. */
  readonly connection: number
}

/** What is said: a response's fields, the bytes of its body; `close` hangs up, `ordinary` is what a decent broker says, `silence` nothing. */
export type ScriptedAnswer = object | Buffer | 'close' | 'ordinary' | 'silence'

export interface ScriptedBrokerOptions {
  readonly answer: (call: ScriptedCall) => ScriptedAnswer | Promise<ScriptedAnswer>
  readonly tls?: TlsOptions
  /** What it says that it serves, besides ApiVersions; all that a decent broker does when absent. */
  readonly serves?: readonly Api[]
  readonly clusterId?: string
  readonly port?: number
}

export interface ScriptedBroker {
  readonly port: number
  readonly bootstrapServers: string
  /** Names of the APIs that were asked for, in order. */
  readonly calls: string[]
  readonly connections: () => number
  close(): Promise<void>
}

const servedByDefault = [0, 1, 2, 3, 10, 11, 12, 14, 17, 18, 19, 22, 36]

/** A broker without anything behind it, which says what a test wants; in a topic `a` of one partition it is the leader. */
export async function startScriptedBroker(t: Cleanup, options: ScriptedBrokerOptions): Promise<ScriptedBroker> {
  const calls: string[] = []
  let connections = 0
  const sockets = new Set<Socket>()
  const served = options.serves?.map(({ key }) => key).concat(ApiVersions.key) ?? servedByDefault
  const accept = (socket: Socket) => {
    const connection = connections++
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    const reader = new FrameReader(2 ** 24)
    let done: Promise<void> = Promise.resolve()
    socket.on('data', (chunk) => {
      try {
        reader.push(chunk, (frame) => {
          done = done.then(() => reply(frame, socket, connection))
        })
      } catch {
        socket.destroy()
      }
    })
  }
  const reply = async (frame: Buffer, socket: Socket, connection: number): Promise<void> => {
    const api = apiByKey(frame.readInt16BE(0))!
    const version = frame.readInt16BE(2)
    calls.push(api.name)
    const reader = new ByteReader(frame)
    const { correlationId } = readRequestHeader(reader, api.requestHeaderVersion(version))
    const request = api.request.codec(version).read(reader) as Readonly<Record<string, unknown>>
    const said = await options.answer({ api, version, request, socket, connection })
    if (said === 'silence') return
    if (said === 'close') {
      socket.destroy()
      return
    }
    const body = said === 'ordinary' ? ordinary(api, { port: portOf(server), served, clusterId: options.clusterId ?? 'scripted' }) : said
    const writer = new ByteWriter()
    ResponseHeader.codec(api.responseHeaderVersion(version)).write(writer, { correlationId })
    if (!Buffer.isBuffer(body)) api.response.codec(version).write(writer, body as never)
    socket.write(framed(Buffer.isBuffer(body) ? Buffer.concat([writer.toBuffer(), body]) : writer.toBuffer()))
  }
  const server: Server = options.tls === undefined ? createServer(accept) : createTlsServer(options.tls, accept)
  server.on('tlsClientError', () => {})
  server.listen(options.port ?? 0, '127.0.0.1')
  await once(server, 'listening')
  const close = async () => {
    for (const socket of sockets) socket.destroy()
    if (!server.listening) return
    server.close()
    await once(server, 'close')
  }
  t.after(close)
  const port = portOf(server)
  return { port, bootstrapServers: `localhost:${port}`, calls, connections: () => connections, close }
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port

function ordinary(api: Api, { port, served, clusterId }: { port: number; served: readonly number[]; clusterId: string }): object {
  if (api.key === ApiVersions.key) {
    const apiKeys = served.map((apiKey) => {
      const { announced, versions } = apiByKey(apiKey)!
      const [minVersion, maxVersion] = announced ?? versions
      return { apiKey, minVersion, maxVersion }
    })
    return { errorCode: 0, apiKeys, supportedFeatures: [], finalizedFeatures: [] }
  }
  if (api.key === Metadata.key) {
    const partition = {
      errorCode: 0,
      partitionIndex: 0,
      leaderId: 1,
      leaderEpoch: 0,
      replicaNodes: [1],
      isrNodes: [1],
      offlineReplicas: [],
    }
    return {
      errorCode: 0,
      brokers: [{ nodeId: 1, host: 'localhost', port, rack: null }],
      clusterId,
      controllerId: 1,
      topics: [{ errorCode: 0, name: 'a', topicId: 'AAAAAAAAAAAAAAAAAAAAAg', isInternal: false, partitions: [partition] }],
    }
  }
  throw new Error(`a scripted broker has no ordinary answer to ${api.name}`)
}
