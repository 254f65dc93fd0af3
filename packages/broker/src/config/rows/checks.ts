export const checkNotEmpty = (text: string): string | undefined => (text === '' ? 'String must be non-empty' : undefined)

/** A release as in inter.broker.protocol.version: 3.9, 3.9.1, 3.9-IV0. Nothing depends on it here, so a newer one is taken too. */
export const checkKafkaVersion = (text: string): string | undefined =>
  /^\d{1,2}\.\d{1,2}(\.\d{1,2})?(-IV\d{1,2})?$/.test(text) ? undefined : `Version \`${text}\` is not a valid version`
