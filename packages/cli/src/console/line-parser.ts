/** A line of `console-producer` as a record: `headers⇥key⇥value`, each part only when its `parse.` property asks for it. */

export interface LineRecord {
  readonly key: string | null
  readonly value: string | null
  readonly headers: readonly { readonly key: string; readonly value: string | null }[]
}

export interface LineFormat {
  readonly parseKey: boolean
  readonly parseHeaders: boolean
  /** A line that lacks a separator is taken as a value instead of ending the run. */
  readonly ignoreError: boolean
  readonly keySeparator: string
  readonly headersDelimiter: string
  readonly headersSeparator: string
  readonly headersKeySeparator: string
  /** A key, value or header value equal to this is null. */
  readonly nullMarker: string | undefined
}

/**
 * The format from Kafka's reader properties (`parse.key`, `key.separator`…).
 * @throws Error when two separators that must differ are equal.
 */
export function lineFormat(properties: ReadonlyMap<string, string>): LineFormat {
  const isTrue = (name: string) => properties.get(name)?.trim().toLowerCase() === 'true'
  const format: LineFormat = {
    parseKey: isTrue('parse.key'),
    parseHeaders: isTrue('parse.headers'),
    ignoreError: isTrue('ignore.error'),
    keySeparator: properties.get('key.separator') ?? '\t',
    headersDelimiter: properties.get('headers.delimiter') ?? '\t',
    headersSeparator: properties.get('headers.separator') ?? ',',
    headersKeySeparator: properties.get('headers.key.separator') ?? ':',
    nullMarker: properties.get('null.marker'),
  }
  const separators = [
    ['headers.delimiter', format.headersDelimiter],
    ['headers.separator', format.headersSeparator],
    ['headers.key.separator', format.headersKeySeparator],
  ] as const
  if (format.parseHeaders) refuseEqual(separators)
  if (format.nullMarker !== undefined) {
    const marker = ['null.marker', format.nullMarker] as const
    refuseEqual([marker, ['key.separator', format.keySeparator]])
    for (const separator of separators) refuseEqual([marker, separator])
  }
  return format
}

function refuseEqual(named: readonly (readonly [name: string, value: string])[]): void {
  for (const [i, [name, value]] of named.entries()) {
    const same = named.slice(i + 1).find(([, other]) => other === value)
    if (same !== undefined) throw new Error(`${name} and ${same[0]} may not be equal`)
  }
}

/**
 * @param lineNumber Counted from 1, for the message of an error.
 * @throws Error when a separator is missing and errors are not ignored.
 */
export function parseLine(line: string, lineNumber: number, format: LineFormat): LineRecord {
  const { nullMarker } = format
  const headers = format.parseHeaders ? part(line, 0, format.headersDelimiter, 'headers delimiter', lineNumber, format) : undefined
  const keyStart = headers === undefined ? 0 : headers.length + format.headersDelimiter.length
  const key = format.parseKey ? part(line, keyStart, format.keySeparator, 'key separator', lineNumber, format) : undefined
  const value = line.slice(keyStart + (key === undefined ? 0 : key.length + format.keySeparator.length))
  return {
    key: key === undefined || key === nullMarker ? null : key,
    value: value === nullMarker ? null : value,
    headers: headers === undefined || headers === nullMarker ? [] : splitHeaders(headers, lineNumber, format),
  }
}

function part(
  line: string,
  from: number,
  separator: string,
  name: string,
  lineNumber: number,
  { ignoreError }: LineFormat,
): string | undefined {
  const end = line.indexOf(separator, from)
  if (end !== -1) return line.slice(from, end)
  if (ignoreError) return undefined
  throw new Error(`No ${name} found on line number ${lineNumber}: '${line}'`)
}

function splitHeaders(text: string, lineNumber: number, format: LineFormat): LineRecord['headers'] {
  const { headersSeparator, headersKeySeparator, nullMarker, ignoreError } = format
  return text.split(headersSeparator).map((pair) => {
    const end = pair.indexOf(headersKeySeparator)
    if (end === -1) {
      if (ignoreError) return { key: pair, value: null }
      throw new Error(`No header key separator found in pair '${pair}' on line number ${lineNumber}`)
    }
    const key = pair.slice(0, end)
    if (key === nullMarker) throw new Error(`Header keys should not be equal to the null marker '${nullMarker}' as they can't be null`)
    const value = pair.slice(end + headersKeySeparator.length)
    return { key, value: value === nullMarker ? null : value }
  })
}
