import type * as declared from './declared-enums.ts'

/**
 * kafkajs's enumerations: the same names and numbers. Each is an object and, by the same name, the type of its values; the namespaces hold
 * types alone, so that `logLevel.INFO` can be one.
 */

/** The object of an enumeration, which has no names by number: kafkajs has none either. */
const enumeration = <E extends object>(numbers: { readonly [K in keyof E]: number }): E => numbers as unknown as E

export const logLevel = enumeration<typeof declared.logLevel>({ NOTHING: 0, ERROR: 1, WARN: 2, INFO: 4, DEBUG: 5 })
export type logLevel = declared.logLevel
export declare namespace logLevel {
  type NOTHING = declared.logLevel.NOTHING
  type ERROR = declared.logLevel.ERROR
  type WARN = declared.logLevel.WARN
  type INFO = declared.logLevel.INFO
  type DEBUG = declared.logLevel.DEBUG
}

export const CompressionTypes = enumeration<typeof declared.CompressionTypes>({ None: 0, GZIP: 1, Snappy: 2, LZ4: 3, ZSTD: 4 })
export type CompressionTypes = declared.CompressionTypes
export declare namespace CompressionTypes {
  type None = declared.CompressionTypes.None
  type GZIP = declared.CompressionTypes.GZIP
  type Snappy = declared.CompressionTypes.Snappy
  type LZ4 = declared.CompressionTypes.LZ4
  type ZSTD = declared.CompressionTypes.ZSTD
}

export const ConfigResourceTypes = enumeration<typeof declared.ConfigResourceTypes>({ UNKNOWN: 0, TOPIC: 2, BROKER: 4, BROKER_LOGGER: 8 })
export type ConfigResourceTypes = declared.ConfigResourceTypes
export declare namespace ConfigResourceTypes {
  type UNKNOWN = declared.ConfigResourceTypes.UNKNOWN
  type TOPIC = declared.ConfigResourceTypes.TOPIC
  type BROKER = declared.ConfigResourceTypes.BROKER
  type BROKER_LOGGER = declared.ConfigResourceTypes.BROKER_LOGGER
}

export const ConfigSource = enumeration<typeof declared.ConfigSource>({
  UNKNOWN: 0,
  TOPIC_CONFIG: 1,
  DYNAMIC_BROKER_CONFIG: 2,
  DYNAMIC_DEFAULT_BROKER_CONFIG: 3,
  STATIC_BROKER_CONFIG: 4,
  DEFAULT_CONFIG: 5,
  DYNAMIC_BROKER_LOGGER_CONFIG: 6,
})
export type ConfigSource = declared.ConfigSource
export declare namespace ConfigSource {
  type UNKNOWN = declared.ConfigSource.UNKNOWN
  type TOPIC_CONFIG = declared.ConfigSource.TOPIC_CONFIG
  type DYNAMIC_BROKER_CONFIG = declared.ConfigSource.DYNAMIC_BROKER_CONFIG
  type DYNAMIC_DEFAULT_BROKER_CONFIG = declared.ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG
  type STATIC_BROKER_CONFIG = declared.ConfigSource.STATIC_BROKER_CONFIG
  type DEFAULT_CONFIG = declared.ConfigSource.DEFAULT_CONFIG
  type DYNAMIC_BROKER_LOGGER_CONFIG = declared.ConfigSource.DYNAMIC_BROKER_LOGGER_CONFIG
}

export const AclResourceTypes = enumeration<typeof declared.AclResourceTypes>({
  UNKNOWN: 0,
  ANY: 1,
  TOPIC: 2,
  GROUP: 3,
  CLUSTER: 4,
  TRANSACTIONAL_ID: 5,
  DELEGATION_TOKEN: 6,
})
export type AclResourceTypes = declared.AclResourceTypes
export declare namespace AclResourceTypes {
  type UNKNOWN = declared.AclResourceTypes.UNKNOWN
  type ANY = declared.AclResourceTypes.ANY
  type TOPIC = declared.AclResourceTypes.TOPIC
  type GROUP = declared.AclResourceTypes.GROUP
  type CLUSTER = declared.AclResourceTypes.CLUSTER
  type TRANSACTIONAL_ID = declared.AclResourceTypes.TRANSACTIONAL_ID
  type DELEGATION_TOKEN = declared.AclResourceTypes.DELEGATION_TOKEN
}

export const AclPermissionTypes = enumeration<typeof declared.AclPermissionTypes>({ UNKNOWN: 0, ANY: 1, DENY: 2, ALLOW: 3 })
export type AclPermissionTypes = declared.AclPermissionTypes
export declare namespace AclPermissionTypes {
  type UNKNOWN = declared.AclPermissionTypes.UNKNOWN
  type ANY = declared.AclPermissionTypes.ANY
  type DENY = declared.AclPermissionTypes.DENY
  type ALLOW = declared.AclPermissionTypes.ALLOW
}

export const AclOperationTypes = enumeration<typeof declared.AclOperationTypes>({
  UNKNOWN: 0,
  ANY: 1,
  ALL: 2,
  READ: 3,
  WRITE: 4,
  CREATE: 5,
  DELETE: 6,
  ALTER: 7,
  DESCRIBE: 8,
  CLUSTER_ACTION: 9,
  DESCRIBE_CONFIGS: 10,
  ALTER_CONFIGS: 11,
  IDEMPOTENT_WRITE: 12,
})
export type AclOperationTypes = declared.AclOperationTypes
export declare namespace AclOperationTypes {
  type UNKNOWN = declared.AclOperationTypes.UNKNOWN
  type ANY = declared.AclOperationTypes.ANY
  type ALL = declared.AclOperationTypes.ALL
  type READ = declared.AclOperationTypes.READ
  type WRITE = declared.AclOperationTypes.WRITE
  type CREATE = declared.AclOperationTypes.CREATE
  type DELETE = declared.AclOperationTypes.DELETE
  type ALTER = declared.AclOperationTypes.ALTER
  type DESCRIBE = declared.AclOperationTypes.DESCRIBE
  type CLUSTER_ACTION = declared.AclOperationTypes.CLUSTER_ACTION
  type DESCRIBE_CONFIGS = declared.AclOperationTypes.DESCRIBE_CONFIGS
  type ALTER_CONFIGS = declared.AclOperationTypes.ALTER_CONFIGS
  type IDEMPOTENT_WRITE = declared.AclOperationTypes.IDEMPOTENT_WRITE
}

export const ResourcePatternTypes = enumeration<typeof declared.ResourcePatternTypes>({
  UNKNOWN: 0,
  ANY: 1,
  MATCH: 2,
  LITERAL: 3,
  PREFIXED: 4,
})
export type ResourcePatternTypes = declared.ResourcePatternTypes
export declare namespace ResourcePatternTypes {
  type UNKNOWN = declared.ResourcePatternTypes.UNKNOWN
  type ANY = declared.ResourcePatternTypes.ANY
  type MATCH = declared.ResourcePatternTypes.MATCH
  type LITERAL = declared.ResourcePatternTypes.LITERAL
  type PREFIXED = declared.ResourcePatternTypes.PREFIXED
}
