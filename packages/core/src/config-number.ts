export const INT64_MIN = -(2n ** 63n)
/** "No limit" in Kafka's configurations of type long. */
export const INT64_MAX = 2n ** 63n - 1n

/** A decimal floating-point number as Java's Double.parseDouble reads it, undefined for anything else, NaN and infinities included. */
export function parseDouble(text: string): number | undefined {
  const trimmed = text.trim()
  if (trimmed.length > 400 || !/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[fFdD]?$/.test(trimmed)) return undefined
  const value = Number(trimmed.replace(/[fFdD]$/, ''))
  return Number.isFinite(value) ? value : undefined
}

/** A double as Java's Double.toString prints it: 0.5, 1.0, 1.0E7, 1.7976931348623157E308. */
export function formatDouble(value: number): string {
  const size = Math.abs(value)
  if (value === 0 || (size >= 1e-3 && size < 1e7)) return Number.isInteger(value) ? value.toFixed(1) : String(value)
  const [mantissa = '', exponent = ''] = value.toExponential().split('e')
  return `${mantissa.includes('.') ? mantissa : `${mantissa}.0`}E${exponent.replace('+', '')}`
}
