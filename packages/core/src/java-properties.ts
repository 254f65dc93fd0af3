const ESCAPES: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r', f: '\f' }
const isBlank = (c: string | undefined): boolean => c === ' ' || c === '\t' || c === '\f'

/** Joins natural lines into logical ones: a line that ends in an odd number of backslashes goes on in the next, without its indentation. */
function logicalLines(text: string): string[] {
  const lines: string[] = []
  let open: string | undefined
  for (const natural of text.split(/\r\n|\r|\n/)) {
    const line = natural.replace(/^[ \t\f]+/, '')
    if (open === undefined && (line === '' || line.startsWith('#') || line.startsWith('!'))) continue
    const joined: string = (open ?? '') + line
    const backslashes = /\\*$/.exec(line)?.[0].length ?? 0
    if (backslashes % 2 === 1) open = joined.slice(0, -1)
    else {
      lines.push(joined)
      open = undefined
    }
  }
  if (open !== undefined) lines.push(open)
  return lines
}

/** Reads characters and escapes from `at` until `ends` says stop; returns the text and where it stopped. */
function readEscaped(line: string, start: number, ends: (c: string) => boolean): { text: string; at: number } {
  let text = ''
  let at = start
  while (at < line.length) {
    const c = line[at]!
    if (ends(c)) break
    at++
    if (c !== '\\') {
      text += c
      continue
    }
    const escaped = line[at++] ?? ''
    if (escaped !== 'u') {
      text += ESCAPES[escaped] ?? escaped
      continue
    }
    const hex = line.slice(at, at + 4)
    if (!/^[0-9a-fA-F]{4}$/.test(hex)) throw new SyntaxError(`Malformed \\uxxxx encoding in properties: ${line}`)
    text += String.fromCharCode(Number.parseInt(hex, 16))
    at += 4
  }
  return { text, at }
}

/**
 * Reads Java's .properties syntax, that of server.properties: `#` and `!` comments, `=`, `:` or blanks between key and value,
 * continuation lines, escapes. Of two lines for one key the later holds.
 * @param source Bytes are ISO-8859-1, as in Java.
 * @throws SyntaxError for a malformed \uXXXX, the one thing Java refuses.
 */
export function parseProperties(source: Uint8Array | string): Map<string, string> {
  const text = typeof source === 'string' ? source : Buffer.from(source).toString('latin1')
  const properties = new Map<string, string>()
  for (const line of logicalLines(text)) {
    const key = readEscaped(line, 0, (c) => c === '=' || c === ':' || isBlank(c))
    let at = key.at
    while (isBlank(line[at])) at++
    if (line[at] === '=' || line[at] === ':') at++
    while (isBlank(line[at])) at++
    properties.set(key.text, readEscaped(line, at, () => false).text)
  }
  return properties
}
