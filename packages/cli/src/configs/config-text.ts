/** `--describe`'s line of one config, and `--add-config`'s language. */

export interface ShownConfig {
  readonly name: string
  /** null: not told, as for passwords. */
  readonly value: string | null
  readonly isSensitive: boolean
  readonly synonyms: readonly { readonly source: string; readonly name: string; readonly value: string | null }[]
}

/** `  name=value sensitive=false synonyms={SOURCE:name=value, …}` */
export function configLine({ name, value, isSensitive, synonyms }: ShownConfig): string {
  const sources = synonyms.map((synonym) => `${synonym.source}:${synonym.name}=${synonym.value}`)
  return `  ${name}=${value} sensitive=${isSensitive} synonyms={${sources.join(', ')}}\n`
}

const badFormat =
  'requirement failed: Invalid entity config: all configs to be added must be in the format "key=val" or  "key=[val1,val2]" to group values which contain commas.'

/**
 * `k1=v1,k2=[v1,v2],k3=v3` as pairs; brackets keep the commas inside a value.
 * @throws Error in the words of Kafka's tool for a part without `=`.
 */
export function parseAddedConfigs(text: string): Map<string, string> {
  const configs = new Map<string, string>()
  for (const part of splitOutsideBrackets(text)) {
    const equals = part.indexOf('=')
    if (equals === -1) throw new Error(badFormat)
    const value = part.slice(equals + 1).trim()
    configs.set(part.slice(0, equals).trim(), value.replace(/^\[|\]$/g, ''))
  }
  return configs
}

function splitOutsideBrackets(text: string): string[] {
  const parts: string[] = []
  let depth = 0
  let start = 0
  for (let i = 0; i < text.length; i++) {
    const char = text[i]
    if (char === '[') depth++
    else if (char === ']') depth--
    else if (char === ',' && depth === 0) {
      parts.push(text.slice(start, i))
      start = i + 1
    }
  }
  parts.push(text.slice(start))
  return parts.map((part) => part.trim()).filter((part) => part !== '')
}
