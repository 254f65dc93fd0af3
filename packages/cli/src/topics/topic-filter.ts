/**
 * Kafka's topic expressions: a Java regular expression that must match the whole name, in which a comma means "or" and blanks do not count.
 * @throws Error in the words of Kafka's tools when it is no expression.
 */
export function topicPattern(expression: string): RegExp {
  const pattern = expression
    .trim()
    .replaceAll(',', '|')
    .replaceAll(' ', '')
    .replace(/^["']+/, '')
    .replace(/["']+$/, '')
  try {
    return new RegExp(`^(?:${pattern})$`, 'u')
  } catch {
    throw new Error(`${pattern} is an invalid regex.`)
  }
}

export function topicFilter(expression: string): (topic: string) => boolean {
  const pattern = topicPattern(expression)
  return (topic) => pattern.test(topic)
}
