/**
 * OpenTelemetry's metrics v1 as protobuf, as much of it as clients push:
 *
 *   MetricsData     1 ResourceMetrics*
 *   ResourceMetrics 1 Resource   2 ScopeMetrics*
 *   Resource        1 KeyValue*
 *   ScopeMetrics    2 Metric*
 *   Metric          1 name       5 Gauge      7 Sum
 *   Gauge           1 NumberDataPoint*
 *   Sum             1 NumberDataPoint*        2 temporality (1 delta, 2 cumulative)   3 is monotonic
 *   NumberDataPoint 2 start      3 time (fixed64, ns since the Unix epoch)            4 double   6 sfixed64   7 KeyValue*
 *   KeyValue        1 key        2 AnyValue { 1 string }
 *
 * Source: opentelemetry-proto, metrics/v1/metrics.proto.
 */
import { ByteWriter } from '@tidelog/core'

export interface OtlpPoint {
  readonly attributes: Readonly<Record<string, string>>
  readonly value: number
  /** Written as an integer, which it must be. */
  readonly isInteger: boolean
  /** Ms since the Unix epoch from which a sum counts; undefined for a gauge. */
  readonly startMs: number | undefined
  /** Ms since the Unix epoch. */
  readonly timeMs: number
}

/** `gauge`: a value as it is; the others are sums that only grow, since their start or since the push before. */
export type OtlpType = 'gauge' | 'cumulative' | 'delta'

export interface OtlpMetric {
  readonly name: string
  readonly type: OtlpType
  readonly points: readonly OtlpPoint[]
}

const VARINT = 0
const FIXED64 = 1
const DELIMITED = 2
const DELTA = 1
const CUMULATIVE = 2
/** A tag of one byte, and a length. */
const HEAD_BYTES = 6
const NS_PER_MS = 1_000_000n

/** MetricsData of one resource, with these labels. */
export function encodeMetrics(labels: Readonly<Record<string, string>>, metrics: readonly OtlpMetric[]): Buffer {
  const resource = delimited(1, ...keyValues(1, labels))
  const scope = delimited(2, ...metrics.map((metric) => delimited(2, ...metricFields(metric))))
  return delimited(1, resource, scope)
}

function metricFields({ name, type, points }: OtlpMetric): Buffer[] {
  const encoded = points.map((point) => delimited(1, ...pointFields(point)))
  if (type === 'gauge') return [text(1, name), delimited(5, ...encoded)]
  return [text(1, name), delimited(7, ...encoded, varint(2, type === 'delta' ? DELTA : CUMULATIVE), varint(3, 1))]
}

function pointFields({ attributes, value, isInteger, startMs, timeMs }: OtlpPoint): Buffer[] {
  const number = fixed64(isInteger ? 6 : 4)
  if (isInteger) number.writeBigInt64LE(BigInt(value), 1)
  else number.writeDoubleLE(value, 1)
  const start = startMs === undefined ? [] : [time(2, startMs)]
  return [...start, time(3, timeMs), number, ...keyValues(7, attributes)]
}

const keyValues = (field: number, values: Readonly<Record<string, string>>): Buffer[] =>
  Object.entries(values).map(([key, value]) => delimited(field, text(1, key), delimited(2, text(1, value))))

function time(field: number, ms: number): Buffer {
  const bytes = fixed64(field)
  bytes.writeBigUInt64LE(BigInt(Math.max(0, Math.floor(ms))) * NS_PER_MS, 1)
  return bytes
}

/** Room for 8 bytes behind the tag. */
function fixed64(field: number): Buffer {
  const bytes = Buffer.alloc(9)
  bytes[0] = (field << 3) | FIXED64
  return bytes
}

const varint = (field: number, value: number): Buffer => Buffer.from([(field << 3) | VARINT, value])
const text = (field: number, value: string): Buffer => delimited(field, Buffer.from(value))

function delimited(field: number, ...parts: readonly Buffer[]): Buffer {
  const head = new ByteWriter(HEAD_BYTES)
  head.int8((field << 3) | DELIMITED)
  head.unsignedVarint(parts.reduce((bytes, { length }) => bytes + length, 0))
  return Buffer.concat([head.toBuffer(), ...parts])
}
