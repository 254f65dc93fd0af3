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
      /** 2: topic; 4: broker; 8: broker logger; 16: client metrics; 32: group. */
      resourceType: int8,
      /** Topic, broker id or group; empty for the cluster's default of all brokers. */
      resourceName: string,
      /** Null: all. */
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
        /** Null when it is sensitive. */
        value: nullable(string),
        /** It can only be set in the file that the broker starts with. */
        readOnly: bool,
        isDefault: until(0, bool),
        /** 1: topic; 2: broker; 3: default of all brokers; 4: file; 5: built-in; 6: logger; 7: client metrics; 8: group. */
        configSource: since(1, int8, -1),
        isSensitive: bool,
        /** Where the value may come from, the one that holds first. */
        synonyms: since(
          1,
          array({
            name: string,
            value: nullable(string),
            source: int8,
          }),
        ),
        /** 1: boolean; 2: string; 3: int; 4: short; 5: long; 6: double; 7: list; 8: class; 9: password; 0: not known. */
        configType: since(3, int8, 0),
        documentation: since(3, nullable(string)),
      }),
    }),
  },
})
export type DescribeConfigsRequest = RequestOf<typeof DescribeConfigs>
export type DescribeConfigsResponse = ResponseOf<typeof DescribeConfigs>
