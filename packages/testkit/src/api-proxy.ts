import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { ByteReader, ByteWriter } from '@tidelog/core'
import { FRAME_HEADER_BYTES, FrameReader } from '@tidelog/net'
import {
  type Api,
  apiByKey,
  FindCoordinator,
  Metadata,
  Produce,
  type RequestInput,
  type RequestOf,
  ResponseHeader,
  type ResponseInput,
  type ResponseOf,
  readRequestHeader,
} from '@tidelog/protocol'
import { reset } from './tcp-proxy.ts'

/** Something with an `after`: node:test's TestContext. */
interface Cleanup {
  after(close: () => void | Promise<void>): void
}

/** What a request came with. */
export interface Asked<A extends Api> {
  readonly request: RequestOf<A>
  readonly version: number
  /** The node whose port it came to. */
  readonly nodeId: number
}

/**
 * What becomes of a request, or of its answer. `drop`: it is swallowed, and so is all that comes behind it on its connection, which stays open;
 * `cut`: the connection breaks instead; `cut-midway`: it breaks when half of the bytes are through; `trickle`: an answer comes a few bytes at a time.
 */
export type Fate = 'drop' | 'cut' | 'cut-midway' | 'trickle'

type OnRequest<A extends Api> = (
  asked: Asked<A>,
) => Exclude<Fate, 'trickle'> | { readonly answer: ResponseInput<A> } | { readonly request: RequestInput<A> } | undefined
type OnAnswer<A extends Api> = (answer: ResponseOf<A>, asked: Asked<A>) => Fate | ResponseInput<A> | undefined

interface Hooks {
  onRequest?: OnRequest<Api> | undefined
  onAnswer?: OnAnswer<Api> | undefined
}

/** A request on its way: answers come in its order. */
interface Exchange {
  readonly api: Api
  readonly version: number
  readonly correlationId: number
  readonly body: Buffer
  /** Given by a hook; the broker never saw the request. */
  readonly given?: ResponseInput<Api> | undefined
}

const TRICKLE_BYTES = 7

/**
 * Stands between clients and a broker, knows what passes, and changes what a test wants changed. It looks like `nodes.length` brokers, each
 * with a port of its own, all of which are the one behind it: who leads what is the test's to say, by changing answers to Metadata.
 */
export class ApiProxy {
  readonly #target: { readonly host: string; readonly port: number }
  readonly #brokerId: number
  readonly #servers = new Map<number, Server>()
  readonly #sockets = new Set<Socket>()
  readonly #hooks = new Map<number, Hooks>()
  readonly #seen: { readonly nodeId: number; readonly exchange: Exchange }[] = []
  /** Nodes that take no connections. */
  readonly down = new Set<number>()
  /** Changes bytes of the broker's answers as it likes, length aside; not of those that a hook reads. */
  garble: ((api: Api, answer: Buffer) => void) | undefined

  /** @param options.nodes Node ids to be; the first stands for the broker itself in what others than Metadata say. */
  static async start(
    t: Cleanup,
    { host, port, nodeId: brokerId }: { host: string; port: number; nodeId: number },
    { nodes = [brokerId] }: { nodes?: readonly number[] } = {},
  ): Promise<ApiProxy> {
    const proxy = new ApiProxy({ host, port }, brokerId)
    for (const nodeId of nodes) await proxy.#listen(nodeId)
    t.after(() => proxy.close())
    return proxy
  }

  /** Use `start`. */
  private constructor(target: { host: string; port: number }, brokerId: number) {
    this.#target = target
    this.#brokerId = brokerId
  }

  get nodes(): readonly number[] {
    return [...this.#servers.keys()]
  }

  get bootstrapServers(): string {
    return this.nodes.map((nodeId) => `127.0.0.1:${this.portOf(nodeId)}`).join(',')
  }

  portOf(nodeId: number): number {
    return (this.#servers.get(nodeId)!.address() as AddressInfo).port
  }

  /** Asked for each request of the API; undefined lets it pass, `request` goes on in its place. One hook an API: a later call replaces it, undefined takes it away. */
  onRequest<A extends Api>(api: A, hook: OnRequest<A> | undefined): void {
    this.#hooksOf(api).onRequest = hook as OnRequest<Api> | undefined
  }

  /** Asked for each answer of the broker; undefined lets it pass as it is. */
  onAnswer<A extends Api>(api: A, hook: OnAnswer<A> | undefined): void {
    this.#hooksOf(api).onAnswer = hook as OnAnswer<Api> | undefined
  }

  /** Requests of an API so far, in the order of their arrival. */
  requests<A extends Api>(api: A): Asked<A>[] {
    return this.#seen.filter(({ exchange }) => exchange.api.key === api.key).map(({ nodeId, exchange }) => askedOf<A>(nodeId, exchange))
  }

  /** Breaks every connection, as a dying broker does. */
  breakAll(): void {
    for (const socket of this.#sockets) reset(socket)
    this.#sockets.clear()
  }

  close(): void {
    this.breakAll()
    for (const server of this.#servers.values()) server.close()
  }

  async #listen(nodeId: number): Promise<void> {
    const server = createServer((client) => this.#accept(nodeId, client))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    this.#servers.set(nodeId, server)
  }

  #hooksOf(api: Api): Hooks {
    let hooks = this.#hooks.get(api.key)
    if (hooks === undefined) {
      hooks = {}
      this.#hooks.set(api.key, hooks)
    }
    return hooks
  }

  #accept(nodeId: number, client: Socket): void {
    client.on('error', () => {})
    if (this.down.has(nodeId)) {
      reset(client)
      return
    }
    const broker = connect({ ...this.#target, noDelay: true })
    client.setNoDelay(true)
    broker.on('error', () => {})
    this.#sockets.add(client).add(broker)
    const end = () => {
      for (const socket of [client, broker]) {
        this.#sockets.delete(socket)
        socket.destroy()
      }
    }
    client.on('close', end)
    broker.on('close', end)
    const rewrite = (api: Api, answer: ResponseOf<Api>) => this.#rewrite(api, answer)
    const garble = (api: Api, answer: Buffer) => this.garble?.(api, answer)
    new Relay({ nodeId, client, broker, hooks: this.#hooks, seen: this.#seen, rewrite, garble })
  }

  /** Every broker is to be found at the proxy's ports. */
  #rewrite(api: Api, answer: ResponseOf<Api>): ResponseInput<Api> {
    if (api.key === Metadata.key) {
      const brokers = this.nodes.map((nodeId) => ({ nodeId, host: '127.0.0.1', port: this.portOf(nodeId), rack: null }))
      return { ...answer, brokers }
    }
    if (api.key !== FindCoordinator.key) return answer
    const found = answer as unknown as ResponseOf<typeof FindCoordinator>
    const place = { nodeId: this.#brokerId, host: '127.0.0.1', port: this.portOf(this.nodes[0]!) }
    const coordinators = found.coordinators.map((one) => (one.errorCode === 0 ? { ...one, ...place } : one))
    return { ...found, ...(found.errorCode === 0 ? place : {}), coordinators } as ResponseInput<Api>
  }
}

const askedOf = <A extends Api>(nodeId: number, { api, version, body }: Exchange): Asked<A> => ({
  request: api.request.codec(version).read(new ByteReader(body)) as RequestOf<A>,
  version,
  nodeId,
})

/** A Produce with acks=0 has no answer. */
const isUnanswered = (nodeId: number, exchange: Exchange): boolean =>
  exchange.api.key === Produce.key && askedOf<typeof Produce>(nodeId, exchange).request.acks === 0

interface RelayOptions {
  readonly nodeId: number
  readonly client: Socket
  readonly broker: Socket
  readonly hooks: ReadonlyMap<number, Hooks>
  readonly seen: { nodeId: number; exchange: Exchange }[]
  readonly rewrite: (api: Api, answer: ResponseOf<Api>) => ResponseInput<Api>
  readonly garble: (api: Api, answer: Buffer) => void
}

/** One connection through the proxy. */
class Relay {
  readonly #options: RelayOptions
  readonly #pending: Exchange[] = []
  #isMute = false
  #trickling: Promise<void> | undefined

  constructor(options: RelayOptions) {
    this.#options = options
    const { client, broker } = options
    const requests = new FrameReader(2 ** 30)
    const answers = new FrameReader(2 ** 30)
    client.on('data', (chunk) => requests.push(chunk, (frame) => this.#request(frame)))
    broker.on('data', (chunk) => answers.push(chunk, (frame) => this.#answer(frame)))
  }

  #request(frame: Buffer): void {
    const { nodeId, client, broker, hooks, seen } = this.#options
    const version = frame.readInt16BE(2)
    const api = apiByKey(frame.readInt16BE(0))!
    const reader = new ByteReader(frame)
    const { correlationId } = readRequestHeader(reader, api.requestHeaderVersion(version))
    const exchange = { api, version, correlationId, body: frame.subarray(reader.position) }
    seen.push({ nodeId, exchange })
    const fate = hooks.get(api.key)?.onRequest?.(askedOf(nodeId, exchange))
    if (this.#isMute) return
    if (fate === 'drop') {
      this.#isMute = true
      return
    }
    if (fate === 'cut') return void reset(client)
    if (fate === 'cut-midway') {
      const bytes = framedOf(frame)
      broker.write(bytes.subarray(0, bytes.length >> 1), () => reset(client))
      return
    }
    if (fate === undefined || 'request' in fate) {
      if (!isUnanswered(nodeId, exchange)) this.#pending.push(exchange)
      const head = frame.subarray(0, reader.position)
      broker.write(framedOf(fate === undefined ? frame : Buffer.concat([head, encoded(api.request.codec(version), fate.request)])))
      return
    }
    this.#pending.push({ ...exchange, given: fate.answer })
    if (this.#pending.length === 1) this.#flushGiven()
  }

  #answer(frame: Buffer): void {
    const { nodeId, hooks, rewrite, garble } = this.#options
    const exchange = this.#pending.shift()
    if (exchange === undefined || this.#isMute) return
    const { api, version } = exchange
    const hook = hooks.get(api.key)?.onAnswer
    garble(api, frame)
    if (hook === undefined && api.key !== Metadata.key && api.key !== FindCoordinator.key) this.#send(framedOf(frame))
    else {
      const reader = new ByteReader(frame)
      ResponseHeader.codec(api.responseHeaderVersion(version)).read(reader)
      const answer = rewrite(api, api.response.codec(version).read(reader) as ResponseOf<Api>)
      const fate = hook?.(answer as ResponseOf<Api>, askedOf(nodeId, exchange))
      const bytes = answerOf(exchange, typeof fate === 'object' ? fate : answer)
      this.#send(bytes, typeof fate === 'string' ? fate : undefined)
    }
    this.#flushGiven()
  }

  #flushGiven(): void {
    for (let next = this.#pending[0]; next?.given !== undefined && !this.#isMute; next = this.#pending[0]) {
      this.#pending.shift()
      this.#send(answerOf(next, next.given))
    }
  }

  /** Answers keep their order, also behind one that trickles. */
  #send(bytes: Buffer, fate?: Fate): void {
    if (this.#trickling !== undefined) this.#trickling = this.#trickling.then(() => this.#sendNow(bytes, fate))
    else if (fate === 'trickle') this.#trickling = this.#trickle(bytes)
    else this.#sendNow(bytes, fate)
  }

  #sendNow(bytes: Buffer, fate: Fate | undefined): void | Promise<void> {
    const { client } = this.#options
    if (this.#isMute) return
    if (fate === undefined) client.write(bytes)
    else if (fate === 'trickle') return this.#trickle(bytes)
    else {
      this.#isMute = true
      if (fate === 'cut') reset(client)
      else if (fate === 'cut-midway') client.write(bytes.subarray(0, bytes.length >> 1), () => reset(client))
    }
  }

  async #trickle(bytes: Buffer): Promise<void> {
    const { client } = this.#options
    for (let at = 0; at < bytes.length && !client.destroyed; at += TRICKLE_BYTES) {
      client.write(bytes.subarray(at, at + TRICKLE_BYTES))
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}

function encoded(codec: { write(writer: ByteWriter, value: never): void }, value: unknown): Buffer {
  const writer = new ByteWriter()
  codec.write(writer, value as never)
  return writer.toBuffer()
}

function framedOf(frame: Buffer): Buffer {
  const length = Buffer.alloc(FRAME_HEADER_BYTES)
  length.writeInt32BE(frame.length)
  return Buffer.concat([length, frame])
}

function answerOf({ api, version, correlationId }: Exchange, answer: ResponseInput<Api>): Buffer {
  const header = encoded(ResponseHeader.codec(api.responseHeaderVersion(version)), { correlationId })
  return framedOf(Buffer.concat([header, encoded(api.response.codec(version), answer)]))
}
