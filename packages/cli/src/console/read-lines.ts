import type { Readable } from 'node:stream'

/**
 * The lines of a text stream, a group for each chunk that arrives: a promise a chunk, not a line.
 * A line ends with LF, CR or CR LF; a last line without an end counts when it is not empty. Pulling slowly holds the stream back.
 */
export async function* readLines(stream: Readable): AsyncGenerator<string[]> {
  stream.setEncoding('utf8')
  let rest = ''
  for await (const chunk of stream as AsyncIterable<string>) {
    const text = rest + chunk
    // A CR at the very end may be half of a CR LF.
    const complete = text.endsWith('\r') ? text.slice(0, -1) : text
    const lines = complete.split(/\r\n|\n|\r/)
    rest = (lines.pop() as string) + text.slice(complete.length)
    if (lines.length > 0) yield lines
  }
  if (rest.endsWith('\r')) yield [rest.slice(0, -1)]
  else if (rest !== '') yield [rest]
}
