import { InvalidOptionError } from '../../errors.ts'

/** A login module of Java and its options. */
export interface LoginModule {
  /** Without package. */
  readonly name: string
  readonly options: ReadonlyMap<string, string>
}

/** A quoted text, a word, `=` or `;`; comments and blanks between them say nothing. */
const tokenPattern = /\s+|\/\*[\s\S]*?\*\/|\/[^\n]*|"((?:[^"\\\n]|\\.)*)"|'((?:[^'\\\n]|\\.)*)'|([=;])|([^\s;="'/]+)/gy

const escapes: ReadonlyMap<string, string> = new Map([
  ['n', '\n'],
  ['t', '\t'],
  ['r', '\r'],
  ['f', '\f'],
  ['b', '\b'],
])

const unescaped = (text: string): string =>
  text.replace(/\\([0-3][0-7]{0,2}|[4-7][0-7]?|.)/g, (_, escaped: string) =>
    /^[0-7]/.test(escaped) ? String.fromCharCode(Number.parseInt(escaped, 8)) : (escapes.get(escaped) ?? escaped),
  )

interface Token {
  readonly text: string
  /** `=` or `;` as such, not as part of a quoted text. */
  readonly isMark: boolean
}

/**
 * Reads `sasl.jaas.config`: `CLASS required NAME="VALUE" …;`.
 * @throws InvalidOptionError that names the place and never a value, which may be a password
 */
export function parseJaasConfig(text: string): LoginModule {
  const tokens = tokensOf(text)
  const [name, flag] = [tokens.shift(), tokens.shift()]
  if (name === undefined || name.isMark) throw invalid('it names no login module')
  if (flag === undefined || !/^(required|requisite|sufficient|optional)$/i.test(flag.text)) {
    throw invalid(`${name.text} is not followed by required`)
  }
  const options = new Map<string, string>()
  for (;;) {
    const key = tokens.shift()
    if (key === undefined) throw invalid('there is no ; at its end')
    if (key.isMark && key.text === ';') break
    const [mark, value] = [tokens.shift(), tokens.shift()]
    if (key.isMark || mark?.isMark !== true || mark.text !== '=' || value === undefined || value.isMark)
      throw invalid(`option number ${options.size + 1} of ${name.text} is not name="value"`)
    options.set(key.text, value.text)
  }
  if (tokens.length > 0) throw invalid('it has more than one login module')
  return { name: name.text.slice(name.text.lastIndexOf('.') + 1), options }
}

function tokensOf(text: string): Token[] {
  const tokens: Token[] = []
  const token = new RegExp(tokenPattern)
  while (token.lastIndex < text.length) {
    const at = token.lastIndex
    const match = token.exec(text)
    if (match === null) throw invalid(`a quote that is opened at character ${at + 1} is not closed`)
    const [, double, single, mark, word] = match
    const quoted = double ?? single
    if (quoted !== undefined) tokens.push({ text: unescaped(quoted), isMark: false })
    else if (mark !== undefined) tokens.push({ text: mark, isMark: true })
    else if (word !== undefined) tokens.push({ text: word, isMark: false })
  }
  return tokens
}

const invalid = (why: string): InvalidOptionError => new InvalidOptionError(`saslJaasConfig: ${why}`)
