import type { ByteReader, ByteWriter } from '@tidelog/core'
import { type DataOf, defineData } from './schema/define.ts'
import { int16, int32, legacyString, nullable, since } from './schema/types.ts'

/** What stands before every request. Version 0 has no client id, version 2 has tagged fields (and the client id keeps its int16 length). */
export const RequestHeader = defineData({
  versions: [0, 2],
  flexibleFrom: 2,
  fields: { requestApiKey: int16, requestApiVersion: int16, correlationId: int32, clientId: since(1, nullable(legacyString), null) },
})
export type RequestHeader = DataOf<typeof RequestHeader>

/** What stands before every response. */
export const ResponseHeader = defineData({ versions: [0, 1], flexibleFrom: 1, fields: { correlationId: int32 } })

/** Bytes of a request header that tell its API and version, and with them the header's own version. */
export const requestHeaderPrefixBytes = 8

/** `headerVersion` is what the API says of the request's version: `api.requestHeaderVersion(version)`. */
export function writeRequestHeader(writer: ByteWriter, header: RequestHeader, headerVersion: 0 | 1 | 2): void {
  RequestHeader.codec(headerVersion).write(writer, header)
}

export function readRequestHeader(reader: ByteReader, headerVersion: 0 | 1 | 2): RequestHeader {
  return RequestHeader.codec(headerVersion).read(reader)
}
