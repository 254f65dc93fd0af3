/** Points in time and durations as `--to-datetime` and `--by-duration` take them. */

/**
 * `YYYY-MM-DDThh:mm:ss.sss`, then nothing (UTC), `Z` or an offset such as `+02:00`.
 * @returns Ms since the Unix epoch.
 * @throws Error in Java's words for a text without T, in ours for any other that is no such time.
 */
export function parseDateTime(text: string): number {
  if (!text.includes('T'))
    throw new Error("java.text.ParseException: Error parsing timestamp. It does not contain a 'T' according to ISO8601 format")
  const hasZone = /T.*(Z|[+-]\d{2}:?\d{2})$/.test(text)
  const parsed = Date.parse(hasZone ? text.replace(/([+-]\d{2})(\d{2})$/, '$1:$2') : `${text}Z`)
  if (Number.isNaN(parsed)) throw new Error(`java.text.ParseException: Unparseable date: "${text}"`)
  return parsed
}

/**
 * `PnDTnHnMnS`.
 * @returns Ms, negative for a duration with a minus before it.
 * @throws Error in Java's words for any other text.
 */
export function parseDuration(text: string): number {
  const parts = /^([+-]?)P(?:([+-]?\d+)D)?(?:T(?:([+-]?\d+)H)?(?:([+-]?\d+)M)?(?:([+-]?\d+(?:[.,]\d{0,9})?)S)?)?$/i.exec(text)
  if (parts === null || /(?:P|T)$/i.test(text)) throw new Error('Text cannot be parsed to a Duration')
  const [, sign, days = '0', hours = '0', minutes = '0', seconds = '0'] = parts
  const total = ((Number(days) * 24 + Number(hours)) * 60 + Number(minutes)) * 60_000 + Number(seconds.replace(',', '.')) * 1000
  return Math.trunc(sign === '-' ? -total : total)
}
