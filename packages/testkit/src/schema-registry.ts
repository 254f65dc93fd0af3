import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import type { TlsOptions } from 'node:tls'

interface Stored {
  readonly schema: string
  readonly schemaType?: string
  readonly references?: readonly unknown[]
}

/** A schema registry that keeps what it is given in memory and fails when it is told to; for tests. */
export interface TestRegistry {
  readonly url: string
  /** `METHOD PATH` of every request, in order. */
  readonly requests: string[]
  readonly headers: IncomingMessage['headers'][]
  /** What answers the next requests instead of the registry, one each. */
  readonly faults: ((request: IncomingMessage, response: ServerResponse) => void)[]
  readonly schemas: Stored[]
}

/** @param tls Makes it speak https. */
export async function startTestRegistry(t: Pick<TestContext, 'after'>, tls?: TlsOptions): Promise<TestRegistry> {
  const schemas: Stored[] = []
  const subjects = new Map<string, number[]>()
  const requests: string[] = []
  const headers: IncomingMessage['headers'][] = []
  const faults: TestRegistry['faults'] = []
  const levels = new Map<string, string>([['', 'BACKWARD']])

  const idOf = (stored: Stored): number => {
    const text = JSON.stringify(stored)
    const known = schemas.findIndex((schema) => JSON.stringify(schema) === text)
    return known < 0 ? schemas.push(stored) : known + 1
  }
  const versionOf = (subject: string, version: number) => {
    const id = subjects.get(subject)?.[version - 1]
    if (id === undefined) throw new NotFound(40402, 'Version not found.')
    return { subject, version, id, guid: guidOf(id), ...schemas[id - 1] }
  }
  const schemaWith = (id: number) => {
    const stored = schemas[id - 1] ?? notFound(40403, 'Schema not found')
    return { ...stored, guid: guidOf(id) }
  }
  const routes: [pattern: RegExp, handle: (parts: string[], method: string, body: Stored & { compatibility?: string }) => unknown][] = [
    [/^\/subjects$/, () => [...subjects.keys()]],
    [
      /^\/subjects\/([^/]+)\/versions$/,
      ([subject = ''], method, body) => {
        const ids = subjects.get(subject)
        if (method === 'GET') return ids?.map((_, index) => index + 1) ?? notFound(40401, 'Subject not found.')
        const id = idOf(body)
        if (ids === undefined) subjects.set(subject, [id])
        else if (!ids.includes(id)) ids.push(id)
        return { id, guid: guidOf(id) }
      },
    ],
    [
      /^\/subjects\/([^/]+)\/versions\/([^/]+)$/,
      ([subject = '', version = ''], method) => {
        if (method === 'DELETE') return Number(version)
        return versionOf(subject, version === 'latest' ? (subjects.get(subject)?.length ?? 0) : Number(version))
      },
    ],
    [
      /^\/subjects\/([^/]+)$/,
      ([subject = ''], method, body) => {
        const ids = subjects.get(subject) ?? notFound(40401, 'Subject not found.')
        if (method === 'DELETE') {
          subjects.delete(subject)
          return ids.map((_, index) => index + 1)
        }
        const version = ids.findIndex((id) => JSON.stringify(schemas[id - 1]) === JSON.stringify(body)) + 1
        return version === 0 ? notFound(40403, 'Schema not found') : versionOf(subject, version)
      },
    ],
    [/^\/schemas\/ids\/(\d+)$/, ([id]) => schemaWith(Number(id))],
    [/^\/schemas\/guids\/([^/]+)$/, ([guid]) => schemaWith(schemas.findIndex((_, index) => guidOf(index + 1) === guid) + 1)],
    [
      /^\/compatibility\/subjects\/([^/]+)\/versions\/latest$/,
      ([subject = '']) => ({ is_compatible: subjects.has(subject), messages: [] }),
    ],
    [
      /^\/config(?:\/([^/]+))?$/,
      ([subject = ''], method, { compatibility = '' }) => {
        if (method === 'PUT') levels.set(subject, compatibility)
        return method === 'PUT' ? { compatibility } : { compatibilityLevel: levels.get(subject) ?? notFound(40408, 'No configuration') }
      },
    ],
  ]

  const respond = (request: IncomingMessage, response: ServerResponse) => {
    requests.push(`${request.method} ${request.url}`)
    headers.push(request.headers)
    const fault = faults.shift()
    if (fault !== undefined) {
      request.resume()
      fault(request, response)
      return
    }
    let text = ''
    request.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
    })
    request.on('end', () => {
      const { pathname } = new URL(request.url ?? '', 'http://registry')
      const found = routes.find(([pattern]) => pattern.test(pathname))
      const parts =
        found?.[0]
          .exec(pathname)
          ?.slice(1)
          .map((part) => decodeURIComponent(part ?? '')) ?? []
      try {
        const [, handle] = found ?? notFound(404, 'HTTP 404 Not Found')
        answerWith(response, 200, handle(parts, request.method ?? '', text === '' ? {} : JSON.parse(text)))
      } catch (error) {
        const { code, message } = error as NotFound
        answerWith(response, 404, { error_code: code, message })
      }
    })
  }
  const server = tls === undefined ? createServer(respond) : createSecureServer(tls, respond)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return {
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    headers,
    faults,
    schemas,
  }
}

/** Of the schema with an id. */
const guidOf = (id: number): string => `ffeeddcc-bbaa-4988-8776-${id.toString(16).padStart(12, '0')}`

class NotFound extends Error {
  readonly code: number
  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

function notFound(code: number, message: string): never {
  throw new NotFound(code, message)
}

export function answerWith(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/vnd.schemaregistry.v1+json' })
  response.end(JSON.stringify(body))
}
