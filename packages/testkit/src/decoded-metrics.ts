import { ByteReader } from '@tidelog/core'

/** A metric as a receiver of OpenTelemetry's metrics sees it. */
export interface DecodedMetric {
  readonly name: string
  readonly description: string
  readonly unit: string
  /** Of the resource that it is of. */
  readonly labels: Readonly<Record<string, string>>
  readonly type: 'gauge' | 'sum'
  /** 0 for a gauge; 1: delta, 2: cumulative. */
  readonly temporality: number
  readonly isMonotonic: boolean
  readonly points: readonly DecodedPoint[]
}

export interface DecodedPoint {
  readonly attributes: Readonly<Record<string, string>>
  readonly value: number
  readonly isInteger: boolean
  /** Ns since the Unix epoch; 0n: not told. */
  readonly startNs: bigint
  readonly timeNs: bigint
}

type Field = number | bigint | Buffer
/** Values of a message by the number of their field, in order. */
class Message {
  readonly #fields = new Map<number, Field[]>()

  constructor(bytes: Buffer) {
    const reader = new ByteReader(bytes)
    while (reader.remaining > 0) {
      const tag = reader.unsignedVarint()
      const values = this.#fields.get(tag >>> 3) ?? []
      this.#fields.set(tag >>> 3, values)
      if ((tag & 7) === 0) values.push(reader.unsignedVarint())
      else if ((tag & 7) === 1) values.push(reader.bytes(8).readBigUInt64LE())
      else if ((tag & 7) === 2) values.push(reader.bytes(reader.unsignedVarint()))
      else throw new Error(`wire type ${tag & 7}`)
    }
  }

  has = (field: number): boolean => this.#fields.has(field)
  number = (field: number): number => Number(this.#fields.get(field)?.[0] ?? 0)
  fixed64 = (field: number): bigint => (this.#fields.get(field)?.[0] as bigint | undefined) ?? 0n
  text = (field: number): string => ((this.#fields.get(field)?.[0] as Buffer | undefined) ?? Buffer.alloc(0)).toString()
  messages = (field: number): Message[] => (this.#fields.get(field) ?? []).map((bytes) => new Message(bytes as Buffer))
}

/** Reads OpenTelemetry's MetricsData (metrics v1), as far as Kafka's clients write it. @throws for bytes that are none */
export function decodeMetrics(bytes: Buffer): DecodedMetric[] {
  return new Message(bytes).messages(1).flatMap((resourceMetrics) => {
    const labels = Object.assign({}, ...resourceMetrics.messages(1).map((resource) => textsOf(resource, 1)))
    const metrics = resourceMetrics.messages(2).flatMap((scope) => scope.messages(2))
    return metrics.map((metric) => metricOf(metric, labels))
  })
}

function metricOf(metric: Message, labels: Readonly<Record<string, string>>): DecodedMetric {
  const isSum = metric.has(7)
  const [data] = metric.messages(isSum ? 7 : 5)
  return {
    name: metric.text(1),
    description: metric.text(2),
    unit: metric.text(3),
    labels,
    type: isSum ? 'sum' : 'gauge',
    temporality: isSum ? data!.number(2) : 0,
    isMonotonic: isSum && data!.number(3) === 1,
    points: data!.messages(1).map(pointOf),
  }
}

function pointOf(point: Message): DecodedPoint {
  const isInteger = point.has(6)
  const bits = Buffer.alloc(8)
  bits.writeBigUInt64LE(point.fixed64(isInteger ? 6 : 4))
  return {
    attributes: textsOf(point, 7),
    value: isInteger ? Number(bits.readBigInt64LE()) : bits.readDoubleLE(),
    isInteger,
    startNs: point.fixed64(2),
    timeNs: point.fixed64(3),
  }
}

const textsOf = (message: Message, field: number): Record<string, string> =>
  Object.fromEntries(message.messages(field).map((pair) => [pair.text(1), pair.messages(2)[0]?.text(1) ?? '']))
