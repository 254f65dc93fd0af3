import { ByteReader, ByteWriter, type Logger, MalformedError, messageOf } from '@tidelog/core'
import type { FrameHandler, Reply, ServerConnection } from '@tidelog/net'
import { type Api, ApiVersions, KafkaError, ResponseHeader, readRequestHeader, requestHeaderPrefixBytes } from '@tidelog/protocol'
import type { BrokerServices } from './broker-services.ts'
import { CloseConnection, type DefinedHandler, errorCodeOf, noResponse } from './define-handler.ts'
import type { RequestConnection } from './request-connection.ts'
import type { AclOperation, AclResourceType, Principal, RequestContext } from './request-context.ts'

const anonymous: Principal = { type: 'User', name: 'ANONYMOUS' }

/** What a client told about itself in ApiVersions; one a connection. */
class ClientConnection implements RequestConnection {
  readonly #connection: ServerConnection
  readonly listenerName: string
  clientSoftwareName = ''
  clientSoftwareVersion = ''

  constructor(connection: ServerConnection, listenerName: string) {
    this.#connection = connection
    this.listenerName = listenerName
  }
  get id(): string {
    return this.#connection.id
  }
  get remoteAddress(): string {
    return this.#connection.remoteAddress
  }
  get remotePort(): number {
    return this.#connection.remotePort
  }
  get closed(): boolean {
    return this.#connection.closed
  }
  onClose(listener: () => void): () => void {
    return this.#connection.onClose(listener)
  }
}

class Context implements RequestContext {
  readonly apiName: string
  readonly apiVersion: number
  readonly correlationId: number
  readonly clientId: string | null
  readonly connection: RequestConnection
  readonly principal = anonymous
  readonly broker: BrokerServices
  /** What is to be called when the reply has left. */
  replied: (() => void) | undefined

  constructor(
    request: { apiName: string; apiVersion: number; correlationId: number; clientId: string | null },
    connection: RequestConnection,
    broker: BrokerServices,
  ) {
    this.apiName = request.apiName
    this.apiVersion = request.apiVersion
    this.correlationId = request.correlationId
    this.clientId = request.clientId
    this.connection = connection
    this.broker = broker
  }

  // No authorizer is configurable yet: everything is allowed, as in Kafka without one.
  authorize(_operation: AclOperation, _type: AclResourceType, _name: string): void {}
  isAuthorized(_operation: AclOperation, _type: AclResourceType, _name: string): boolean {
    return true
  }
  afterReply(listener: () => void): void {
    const before = this.replied
    this.replied =
      before === undefined
        ? listener
        : () => {
            before()
            listener()
          }
  }
}

/**
 * Elements in all arrays of one request, as many as the largest clusters have partitions: decoding them takes less than a tenth of a second. Without
 * a bound, a frame of socket.request.max.bytes could ask for some gigabytes of objects.
 */
const MAX_REQUEST_ELEMENTS = 200_000

/** The reason a connection is closed without an answer, for the log. */
class Unanswerable extends Error {}

export interface DispatchOptions {
  readonly handlers: Iterable<DefinedHandler>
  readonly services: BrokerServices
  readonly listenerName: string
  readonly logger: Logger
}

/** From a frame to its reply: header, API and version, the handler's call, errors. Owns no state of the broker. */
export class Dispatcher implements FrameHandler {
  readonly #handlers = new Map<number, DefinedHandler>()
  readonly #services: BrokerServices
  readonly #listenerName: string
  readonly #logger: Logger
  readonly #clients = new WeakMap<ServerConnection, ClientConnection>()

  constructor({ handlers, services, listenerName, logger }: DispatchOptions) {
    for (const handler of handlers) this.#handlers.set(handler.api.key, handler)
    this.#services = services
    this.#listenerName = listenerName
    this.#logger = logger
  }

  mayOverlap(frame: Buffer): boolean {
    if (frame.length < requestHeaderPrefixBytes) return false
    const from = this.#handlers.get(frame.readInt16BE(0))?.pipelinedFrom
    return from !== undefined && frame.readInt16BE(2) >= from
  }

  letsGoOf(frame: Buffer): boolean {
    return frame.length >= requestHeaderPrefixBytes && this.#handlers.get(frame.readInt16BE(0))?.keepsNoBytes === true
  }

  async handle(frame: Buffer, connection: ServerConnection): Promise<Reply> {
    try {
      return await this.#answer(frame, connection)
    } catch (error) {
      const reason = messageOf(error)
      const foreseen = error instanceof Unanswerable || error instanceof MalformedError || error instanceof CloseConnection
      if (foreseen) this.#logger.warn('closed a connection', { peer: connection.remoteAddress, reason })
      else
        this.#logger.error('closed a connection: its request failed without a place for an error', {
          peer: connection.remoteAddress,
          error,
        })
      throw error
    }
  }

  // Not async up to the handler's call: a pipelined request has taken its place when this returns.
  #answer(frame: Buffer, connection: ServerConnection): Promise<Reply> | Reply {
    if (frame.length < requestHeaderPrefixBytes) throw new Unanswerable(`a request of ${frame.length} bytes has no header`)
    const key = frame.readInt16BE(0)
    const version = frame.readInt16BE(2)
    const handler = this.#handlers.get(key)
    if (handler === undefined) throw new Unanswerable(`API ${key} is not served`)
    const { api } = handler
    const range = api.announced
    if (range === undefined || version < range[0] || version > range[1]) {
      if (api.key !== ApiVersions.key) throw new Unanswerable(`${api.name} ${version} is not served`)
      return this.#unsupportedApiVersions(frame.readInt32BE(4))
    }
    const reader = new ByteReader(frame)
    reader.elementsLeft = MAX_REQUEST_ELEMENTS
    const header = readRequestHeader(reader, api.requestHeaderVersion(version))
    const request = api.request.codec(version).read(reader)
    const context = new Context(
      { apiName: api.name, apiVersion: version, correlationId: header.correlationId, clientId: header.clientId },
      this.#client(connection),
      this.#services,
    )
    return this.#call(handler, request, context)
  }

  async #call(handler: DefinedHandler, request: object, context: Context): Promise<Reply> {
    let response: object | typeof noResponse
    try {
      response = await handler.handle(request as never, context)
      if (response === noResponse) return null
      return encode(handler.api, context, response)
    } catch (error) {
      const { errorCode, errorMessage } = errorCodeOf(error, context)
      return encode(handler.api, context, errorResponse(handler, request, errorCode, errorMessage, context.apiVersion))
    }
  }

  /** A client newer than this broker gets version 0 and the versions it may ask with. Source: KIP-35, KIP-511. */
  #unsupportedApiVersions(correlationId: number): Reply {
    const [minVersion, maxVersion] = ApiVersions.announced!
    const writer = new ByteWriter()
    ResponseHeader.codec(0).write(writer, { correlationId })
    ApiVersions.response.codec(0).write(writer, {
      errorCode: new KafkaError('UNSUPPORTED_VERSION').code,
      apiKeys: [{ apiKey: ApiVersions.key, minVersion, maxVersion }],
    })
    return { chunks: writer.toBuffers() }
  }

  #client(connection: ServerConnection): ClientConnection {
    let client = this.#clients.get(connection)
    if (client === undefined) {
      client = new ClientConnection(connection, this.#listenerName)
      this.#clients.set(connection, client)
    }
    return client
  }
}

function errorResponse(
  handler: DefinedHandler,
  request: object,
  errorCode: number,
  errorMessage: string | null,
  apiVersion: number,
): object {
  if (handler.errorResponse !== undefined) return handler.errorResponse(request as never, errorCode, errorMessage, apiVersion)
  if (!('errorCode' in handler.api.response.fields)) throw new CloseConnection(`${handler.api.name} has no place for error ${errorCode}`)
  return { errorCode }
}

function encode(api: Api, context: Context, response: object): Reply {
  const writer = new ByteWriter()
  ResponseHeader.codec(api.responseHeaderVersion(context.apiVersion)).write(writer, { correlationId: context.correlationId })
  api.response.codec(context.apiVersion).write(writer, response as never)
  return { chunks: writer.toBuffers(), onSent: context.replied }
}
