import type pino from 'pino'
import { type Clock, systemClock } from './clock.ts'
import { onFirstUse } from './on-first-use.ts'

const pinoPackage = onFirstUse<typeof pino>('pino')

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** `fields` say what the line is about (topic, partition, peer); a field named `error` is printed with its stack. */
export interface Logger {
  debug(message: string, fields?: Record<string, unknown>): void
  info(message: string, fields?: Record<string, unknown>): void
  warn(message: string, fields?: Record<string, unknown>): void
  error(message: string, fields?: Record<string, unknown>): void
  /** A logger that adds `fields` to each of its lines. */
  child(fields: Record<string, unknown>): Logger
}

export interface LoggerOptions {
  /** Lines below this level are dropped. */
  readonly level?: LogLevel | 'silent'
  /** `text` for people, `json` for machines: one object a line. */
  readonly format?: 'text' | 'json'
  /** Takes whole lines, each with its line feed; standard error when absent, written at once so that last words are not lost. */
  readonly destination?: { write(line: string): void }
  readonly clock?: Clock
}

/** Writes one line an event; control characters in it are escaped, so that nothing from outside can forge a line or drive a terminal. */
export function createLogger({ level = 'info', format = 'text', destination, clock = systemClock }: LoggerOptions = {}): Logger {
  const out = destination ?? pinoPackage().destination({ dest: 2, sync: true })
  const escaping = {
    write: (line: string) => out.write(`${format === 'json' ? escapeControls(line.trimEnd()) : asText(line)}\n`),
  }
  const root = pinoPackage()(
    {
      level,
      base: null,
      messageKey: 'message',
      errorKey: 'error',
      timestamp: () => `,"time":"${new Date(clock.now()).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    escaping,
  )
  return wrap(root)
}

const nothing = (): void => {}

export const silentLogger: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => silentLogger }

const noFields: Record<string, unknown> = {}

function wrap(inner: pino.Logger): Logger {
  return {
    debug: (message, fields = noFields) => inner.debug(fields, message),
    info: (message, fields = noFields) => inner.info(fields, message),
    warn: (message, fields = noFields) => inner.warn(fields, message),
    error: (message, fields = noFields) => inner.error(fields, message),
    child: (fields) => wrap(inner.child(fields)),
  }
}

/** `2023-11-14T22:13:20.000Z INFO  message name=value`, an error's stack on indented lines below. */
function asText(line: string): string {
  const { level, time, message, error, ...fields } = JSON.parse(line) as Record<string, unknown>
  let text = `${time} ${String(level).toUpperCase().padEnd(5)} ${escapeControls(String(message))}`
  for (const [name, value] of Object.entries(fields)) text += ` ${escapeControls(name)}=${fieldText(value)}`
  if (error === undefined) return text
  const stack = typeof error === 'object' && error !== null && 'stack' in error ? error.stack : undefined
  if (typeof stack !== 'string') return `${text} error=${fieldText(error)}`
  for (const frame of stack.split('\n')) text += `\n    ${escapeControls(frame.trim())}`
  return text
}

function fieldText(value: unknown): string {
  const text = typeof value === 'string' && /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value)
  return escapeControls(text)
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g

function escapeControls(text: string): string {
  return text.replace(CONTROLS, (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
