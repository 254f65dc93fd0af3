import { Readable, Writable } from 'node:stream'
import type { Admin, Consumer, Producer } from '@tidelog/client'
import type { Command } from './command.ts'

interface Fakes {
  readonly admin?: Partial<Admin>
  readonly producer?: Partial<Producer<string, string>>
  readonly consumer?: Partial<Consumer<Buffer, Buffer>>
  readonly stdin?: string
}

export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
  /** What the client was made from. */
  readonly properties: ReadonlyMap<string, string>
}

class Collector extends Writable {
  text = ''
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString()
    done()
  }
}

/** Runs a command against clients that a test made up. A method that the test left out fails the run. */
export async function runWith(command: Command, fakes: Fakes, ...args: string[]): Promise<Ran> {
  const stdout = new Collector()
  const stderr = new Collector()
  const properties = new Map<string, string>()
  const give =
    <T extends object>(fake: T | undefined) =>
    async (given: ReadonlyMap<string, string>): Promise<never> => {
      for (const [name, value] of given) properties.set(name, value)
      return { close: async () => {}, ...fake } as unknown as never
    }
  const code = await command.run(args, {
    stdin: Readable.from([Buffer.from(fakes.stdin ?? '')], { objectMode: false }),
    stdout,
    stderr,
    interrupted: new AbortController().signal,
    finishInPeace: () => {},
    clients: { admin: give(fakes.admin), producer: give(fakes.producer), consumer: give(fakes.consumer) },
  })
  return { code, stdout: stdout.text, stderr: stderr.text, properties }
}
