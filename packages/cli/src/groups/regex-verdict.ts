/**
 * `--validate-regex`: whether brokers would take the expression, which they read by RE2's rules (KIP-848).
 * What RE2 lacks of JavaScript's language, back-references and look-around, is refused here too.
 */
export function regexVerdict(expression: string): string {
  const reason = refusal(expression)
  return reason === undefined
    ? `The regular expression \`${expression}\` is valid.`
    : `The regular expression \`${expression}\` is invalid: ${reason}.`
}

function refusal(expression: string): string | undefined {
  if (/(?<!\\)(?:\\\\)*\\[1-9]/.test(expression)) return 'invalid escape sequence'
  if (/\(\?(?:=|!|<=|<!)/.test(expression)) return 'invalid or unsupported Perl syntax'
  try {
    new RegExp(expression, 'u')
    return undefined
  } catch (error) {
    const { message } = error as Error
    const known = re2Words.find(([ours]) => message.endsWith(ours))
    return known?.[1] ?? message.slice(message.lastIndexOf(': ') + 2).toLowerCase()
  }
}

const re2Words: readonly (readonly [javaScript: string, re2: string])[] = [
  ['Unterminated group', 'missing closing )'],
  ["Unmatched ')'", 'unexpected )'],
  ['Unterminated character class', 'missing closing ]'],
  ['Nothing to repeat', 'missing argument to repetition operator'],
  ['\\ at end of pattern', 'trailing backslash at end of expression'],
]
