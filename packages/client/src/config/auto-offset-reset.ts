/** `by_duration:` and ISO 8601 as java.time.Duration reads it, in ms; undefined for what is none, or negative. KIP-1106. */
export function resetDurationMs(policy: string): number | undefined {
  const match =
    /^by_duration:(-|\+)?P(?=.)(?:([-+]?\d+)D)?(?:T(?=.)(?:([-+]?\d+)H)?(?:([-+]?\d+)M)?(?:([-+]?\d+)(?:[.,](\d{0,9}))?S)?)?$/i.exec(policy)
  if (match === null || !policy.startsWith('by_duration:')) return undefined
  const [, sign, days = 0, hours = 0, minutes = 0, seconds = '0', fraction = ''] = match
  const secondsSign = seconds.startsWith('-') ? -1 : 1
  const wholeSeconds = Number(days) * 86_400 + Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)
  const ms = (wholeSeconds + secondsSign * Number(`0.${fraction}0`)) * (sign === '-' ? -1000 : 1000)
  return ms < 0 || !Number.isFinite(ms) ? undefined : ms
}
