import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, bool, errorCode, int8, int32, nullable, since, string, until, withDefault } from '../schema/types.ts'

/** Configurations of topics, brokers, groups and more, with source and synonyms. KIP-133, KIP-226, KIP-569. */
export const DescribeConfigs = defineApi({
  key: 32,
  name: 'DescribeConfigs',
  versions: [0, 4],
  flexibleFrom: 4,
  request: {
    resources: array({
      resourceType: int8,
      resourceName: string,
      configurationKeys: nullable(array(string)),
    }),
    includeSynonyms: since(1, bool, false),
    includeDocumentation: since(3, bool, false),
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    results: array({
      errorCode,
      errorMessage: nullable(string),
      resourceType: int8,
      resourceName: string,
      configs: array({
        name: string,
        value: nullable(string),
        readOnly: bool,
        isDefault: until(0, bool),
        configSource: since(1, int8, -1),
        isSensitive: bool,
        synonyms: since(
          1,
          array({
            name: string,
            value: nullable(string),
            source: int8,
          }),
        ),
        configType: since(3, int8, 0),
        documentation: since(3, nullable(string)),
      }),
    }),
  },
})
export type DescribeConfigsRequest = RequestOf<typeof DescribeConfigs>
export type DescribeConfigsResponse = ResponseOf<typeof DescribeConfigs>
