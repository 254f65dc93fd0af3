import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'
import { connect, FRAME_HEADER_BYTES, type FramedConnection, FrameReader } from '@tidelog/net'
import { CreateTopics, IncrementalAlterConfigs } from '@tidelog/protocol'

/** Something with an `after`: node:test's TestContext. */
interface Cleanup {
  after(close: () => void | Promise<void>): void
}

/** `body` behind its length, as every request travels. */
export function framed(body: Uint8Array | string): Buffer {
  const bytes = Buffer.from(body as Uint8Array)
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + bytes.length)
  frame.writeInt32BE(bytes.length)
  bytes.copy(frame, FRAME_HEADER_BYTES)
  return frame
}

/** A client that sends whatever bytes a test wants, right or wrong. */
export class RawPeer {
  readonly socket: Socket
  /** The answers so far, without their lengths. */
  readonly answers: Buffer[] = []
  #wake = () => {}

  static async connect(t: Cleanup, port: number, host = '127.0.0.1'): Promise<RawPeer> {
    const socket = createConnection({ host, port, noDelay: true })
    const peer = new RawPeer(socket)
    t.after(() => void socket.destroy())
    await once(socket, 'connect')
    return peer
  }

  /** Use `connect`. */
  constructor(socket: Socket) {
    this.socket = socket
    const reader = new FrameReader(2 ** 30)
    socket.on('data', (chunk) => {
      reader.push(chunk, (frame) => this.answers.push(frame))
      this.#wake()
    })
    socket.on('error', () => {})
    socket.on('close', () => this.#wake())
  }

  /** Resolves with the answers when there are `count`, or fewer when the connection has closed. */
  async receive(count: number): Promise<readonly Buffer[]> {
    while (this.answers.length < count && !this.socket.destroyed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return this.answers
  }

  /** Resolves when the other side has closed the connection. */
  async closed(): Promise<void> {
    if (!this.socket.destroyed) await once(this.socket, 'close')
  }
}

/** A connection that speaks the protocol, closed after the test. */
export async function connectTo(t: Cleanup, { host, port }: { host: string; port: number }): Promise<FramedConnection> {
  const connection = await connect({ host, port, clientId: 'test', requestTimeoutMs: 10_000 })
  t.after(() => connection.close())
  return connection
}

/** Creates a topic and returns its id. */
export async function createTopic(
  connection: Pick<FramedConnection, 'send'>,
  name: string,
  { partitions = 1, configs = {} }: { partitions?: number; configs?: Readonly<Record<string, string>> } = {},
): Promise<string> {
  const rows = Object.entries(configs).map(([key, value]) => ({ name: key, value }))
  const { topics } = await connection.send(CreateTopics, 7, {
    topics: [{ name, numPartitions: partitions, replicationFactor: 1, assignments: [], configs: rows }],
    timeoutMs: 5000,
    validateOnly: false,
  })
  const { errorCode, errorMessage, topicId } = topics[0]!
  if (errorCode !== 0) throw new Error(`topic ${name} was not created: ${errorCode} ${errorMessage}`)
  return topicId
}

/**
 * Sets one dynamic configuration of a broker, or takes it back. @param resource.broker An id; empty: of all brokers.
 * @param value null takes it back.
 * @returns The row's error.
 */
export async function alterConfig(
  connection: FramedConnection,
  resource: { broker: string } | { topic: string },
  name: string,
  value: string | null,
  { validateOnly = false }: { validateOnly?: boolean } = {},
): Promise<{ errorCode: number; errorMessage: string | null }> {
  const [resourceType, resourceName] = 'topic' in resource ? [2, resource.topic] : [4, resource.broker]
  const configs = [{ name, configOperation: value === null ? 1 : 0, value }]
  const { responses } = await connection.send(IncrementalAlterConfigs, 1, {
    resources: [{ resourceType, resourceName, configs }],
    validateOnly,
  })
  return { errorCode: responses[0]!.errorCode, errorMessage: responses[0]!.errorMessage }
}

/** Resolves when `condition` holds; looks again after each turn of the event loop. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setImmediate(resolve))
}
