import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { startScriptedBroker, TestAuthority } from '@tidelog/testkit'
import { Admin } from '../admin/admin.ts'
import type { AdminOptions } from '../admin/admin-options.ts'
import { AuthenticationError, type ClientError } from '../errors.ts'

const authority = new TestAuthority()

/** Brokers' names that only the proxy can resolve. */
const hosts: Readonly<Record<string, string>> = { 'broker.example': '127.0.0.1', localhost: '127.0.0.1' }

interface TestProxy {
  readonly port: number
  readonly destinations: string[]
}

async function listening(t: TestContext, server: Server, sockets: Set<Socket>): Promise<number> {
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

function tunnel(client: Socket, host: string, port: number, sockets: Set<Socket>, onConnect: () => void): void {
  const broker = connect({ host: hosts[host] ?? host, port }, onConnect)
  sockets.add(broker)
  broker.on('error', () => client.destroy()).on('close', () => client.destroy())
  client.on('close', () => broker.destroy())
  client.pipe(broker).pipe(client)
}

/** RFC 1928 with user and password (RFC 1929) where there is one. */
async function socksProxy(t: TestContext, login?: string): Promise<TestProxy> {
  const destinations: string[] = []
  const sockets = new Set<Socket>()
  const next = async (socket: Socket): Promise<Buffer> => (await once(socket, 'data'))[0] as Buffer
  const serve = async (socket: Socket): Promise<void> => {
    const greeting = await next(socket)
    const method = login === undefined ? 0 : 2
    const isOffered = greeting.subarray(2).includes(method)
    socket.write(Buffer.of(5, isOffered ? method : 0xff))
    if (!isOffered) return
    if (login !== undefined) {
      const credentials = await next(socket)
      const nameBytes = credentials[1]!
      const given = `${credentials.subarray(2, 2 + nameBytes)}:${credentials.subarray(3 + nameBytes)}`
      socket.write(Buffer.of(1, given === login ? 0 : 1))
      if (given !== login) return
    }
    const request = await next(socket)
    assert.deepEqual([...request.subarray(0, 4)], [5, 1, 0, 3])
    const host = request.subarray(5, 5 + request[4]!).toString()
    const port = request.readUInt16BE(5 + request[4]!)
    destinations.push(host)
    socket.pause()
    tunnel(socket, host, port, sockets, () => socket.write(Buffer.of(5, 0, 0, 1, 0, 0, 0, 0, 0, 0)))
  }
  const server = createServer((socket) => void serve(socket).catch(() => socket.destroy()))
  return { port: await listening(t, server, sockets), destinations }
}

async function httpProxy(t: TestContext, login?: string): Promise<TestProxy> {
  const destinations: string[] = []
  const sockets = new Set<Socket>()
  const server = createHttpServer()
  server.on('connect', ({ url = '', headers }, socket: Socket) => {
    const expected = login === undefined ? undefined : `Basic ${Buffer.from(login).toString('base64')}`
    if (headers['proxy-authorization'] !== expected) {
      socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n')
      return
    }
    const [host, port] = url.split(':') as [string, string]
    destinations.push(host)
    tunnel(socket, host, Number(port), sockets, () => socket.write('HTTP/1.1 200 Connection established\r\n\r\n'))
  })
  return { port: await listening(t, server, sockets), destinations }
}

async function topicsOf(t: TestContext, options: AdminOptions): Promise<readonly string[]> {
  const admin = new Admin({ retryBackoffMs: 5, reconnectBackoffMs: 5, ...options })
  t.after(() => admin.close())
  return (await admin.listTopics({ timeoutMs: 10_000 })).map(({ name }) => name)
}

const kinds = { socks5: socksProxy, http: httpProxy }

for (const [scheme, start] of Object.entries(kinds)) {
  test(`a ${scheme} proxy carries Kafka's protocol and TLS, with and without a login, and resolves the brokers' names`, async (t) => {
    const plain = await startScriptedBroker(t, { answer: () => 'ordinary' })
    const secure = await startScriptedBroker(t, {
      answer: () => 'ordinary',
      tls: authority.issue({ hosts: ['localhost', 'broker.example'] }),
    })
    const open = await start(t)
    const guarded = await start(t, 'us er:p@ss')
    const tls = { ca: authority.cert }
    const bootstrapServers = `broker.example:${plain.port}`
    assert.deepEqual(await topicsOf(t, { bootstrapServers, proxy: `${scheme}://127.0.0.1:${open.port}` }), ['a'])
    assert.deepEqual(open.destinations, ['broker.example'])
    const proxy = `${scheme}://us%20er:p%40ss@127.0.0.1:${guarded.port}`
    assert.deepEqual(await topicsOf(t, { bootstrapServers: `broker.example:${secure.port}`, tls, proxy }), ['a'])
  })

  test(`C7: a ${scheme} proxy that refuses the login is an AuthenticationError that does not show it, one that is down is retried`, async (t) => {
    const { port } = await startScriptedBroker(t, { answer: () => 'ordinary' })
    const guarded = await start(t, 'user:right')
    const bootstrapServers = `localhost:${port}`
    const wrong = { bootstrapServers, proxy: `${scheme}://user:wrong-secret@127.0.0.1:${guarded.port}` }
    const error: ClientError = await topicsOf(t, wrong).catch((reason) => reason)
    assert.ok(error instanceof AuthenticationError, String(error))
    assert.equal(error.code, 'PROXY_AUTHENTICATION_FAILED')
    assert.doesNotMatch(`${error.message}${JSON.stringify(error)}${String((error.cause as Error).cause)}`, /wrong-secret/)
    const admin = new Admin({ bootstrapServers, proxy: `${scheme}://127.0.0.1:1` })
    t.after(() => admin.close())
    await assert.rejects(admin.listTopics({ timeoutMs: 300 }), { code: 'TIMEOUT', message: /the proxy 127\.0\.0\.1:1/ })
    assert.equal(guarded.destinations.length, 0)
  })
}

test('a proxy of no known kind, or beside a socketFactory, is an error that does not show its password', () => {
  const bootstrapServers = 'localhost:1'
  for (const proxy of ['ftp://user:secret@h:1', 'user:secret', 'socks5://']) {
    assert.throws(
      () => new Admin({ bootstrapServers, proxy }),
      (error: ClientError) => /^proxy: /.test(error.message) && !error.message.includes('secret'),
    )
  }
  assert.throws(() => new Admin({ bootstrapServers, proxy: 'http://h:1', socketFactory: () => connect(1) }), /do not go together/)
})

test('a socketFactory makes the connections, and TLS is put on top', async (t) => {
  const { port } = await startScriptedBroker(t, { answer: () => 'ordinary', tls: authority.issue() })
  const asked: string[] = []
  const socketFactory = (address: { host: string; port: number }) => {
    asked.push(`${address.host}:${address.port}`)
    return connect(address)
  }
  const options = { bootstrapServers: `localhost:${port}`, tls: { ca: authority.cert }, socketFactory }
  assert.deepEqual(await topicsOf(t, options), ['a'])
  assert.deepEqual(asked, [`localhost:${port}`])
})
