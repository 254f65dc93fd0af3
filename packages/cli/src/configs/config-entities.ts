import type { ConfigResource, ConfigSource } from '@tidelog/client'
import { CommandFailure } from '../command.ts'
import { flag, list, text } from '../option-table.ts'

/** What `kafka-configs` speaks of: `--entity-type topics --entity-name t`, or for short `--topic t`. */

export type EntityType = 'topics' | 'clients' | 'users' | 'brokers' | 'ips' | 'client-metrics' | 'groups' | 'broker-loggers'

export interface Entity {
  readonly type: EntityType
  /** '' is the default entity; undefined: all of the type. */
  readonly name: string | undefined
}

const entityTypes: readonly EntityType[] = ['topics', 'clients', 'users', 'brokers', 'ips', 'client-metrics', 'groups', 'broker-loggers']

const shortNames = [
  ['topic', 'topics'],
  ['client', 'clients'],
  ['user', 'users'],
  ['broker', 'brokers'],
  ['ip', 'ips'],
  ['client-metrics', 'client-metrics'],
  ['group', 'groups'],
  ['broker-logger', 'broker-loggers'],
] as const
const shortDefaults = [
  ['client-defaults', 'clients'],
  ['user-defaults', 'users'],
  ['broker-defaults', 'brokers'],
  ['ip-defaults', 'ips'],
] as const

export const entityOptions = {
  'entity-type': list(`The kind of entity: ${entityTypes.join(', ')}.`, { value: 'type' }),
  'entity-name': list('The name of the entity; all of the kind when absent.', { value: 'name' }),
  'entity-default': flag('The default entity: what holds where an entity says nothing itself.'),
  topic: text('A topic.', { value: 'topic' }),
  client: text('A client id.', { value: 'id' }),
  'client-defaults': flag('What holds for clients by default.'),
  user: text('A user principal.', { value: 'name' }),
  'user-defaults': flag('What holds for users by default.'),
  broker: text('A broker, by its id.', { value: 'id' }),
  'broker-defaults': flag('What holds for all brokers by default.'),
  'broker-logger': text('The loggers of a broker, by its id.', { value: 'id' }),
  ip: text('An IP address.', { value: 'address' }),
  'ip-defaults': flag('What holds for IP addresses by default.'),
  'client-metrics': text('A subscription to metrics of clients.', { value: 'name' }),
  group: text('A group.', { value: 'group' }),
}

type EntityValues = { readonly [N in keyof typeof entityOptions]: string | undefined | boolean | readonly string[] }

/**
 * The one entity that the options name.
 * @throws CommandFailure for none, an unknown type, several (which only quotas have), or a name that cannot be.
 */
export function entityOf(values: EntityValues): Entity {
  const types = values['entity-type'] as readonly string[]
  const names = [...(values['entity-name'] as readonly string[]), ...(values['entity-default'] ? [''] : [])]
  const entities: Entity[] = types.map((type, i) => {
    if (!entityTypes.includes(type as EntityType))
      throw new CommandFailure(
        `Invalid entity type ${type}, the entity type must be one of ${entityTypes.join(', ')} with a --bootstrap-server or --bootstrap-controller argument`,
      )
    return { type: type as EntityType, name: names[i] }
  })
  for (const [option, type] of shortNames) if (values[option] !== undefined) entities.push({ type, name: values[option] as string })
  for (const [option, type] of shortDefaults) if (values[option]) entities.push({ type, name: '' })
  const [entity] = entities
  if (entity === undefined) throw new CommandFailure('At least one entity type must be specified')
  const quotaOnly = entities.find(({ type }) => type === 'users' || type === 'clients' || type === 'ips')
  if (quotaOnly !== undefined) throw new CommandFailure(`Quotas and users are not served yet: ${quotaOnly.type}`)
  if (entities.length > 1) throw new CommandFailure('Only one entity type may be specified, except for users and clients')
  if ((entity.type === 'brokers' || entity.type === 'broker-loggers') && entity.name && !/^\d+$/.test(entity.name))
    throw new CommandFailure(`The entity name for ${entity.type} must be a valid integer broker id, found: ${entity.name}`)
  return entity
}

const resourceTypes = {
  topics: 'topic',
  brokers: 'broker',
  'broker-loggers': 'broker-logger',
  groups: 'group',
  'client-metrics': 'client-metrics',
} as const

export function resourceOf({ type, name }: Entity): ConfigResource {
  return { type: resourceTypes[type as keyof typeof resourceTypes], name: name ?? '' }
}

/** The entity's kind in the singular, as the tool's texts have it. */
export function singular(type: EntityType): string {
  return type.slice(0, -1)
}

/** Where a value of the entity comes from when it was set on that entity itself. */
export function ownSource({ type, name }: Entity): ConfigSource {
  switch (type) {
    case 'topics':
      return 'dynamic-topic-config'
    case 'broker-loggers':
      return 'dynamic-broker-logger-config'
    case 'groups':
      return 'dynamic-group-config'
    case 'client-metrics':
      return 'dynamic-client-metrics-config'
    default:
      return name === '' ? 'dynamic-default-broker-config' : 'dynamic-broker-config'
  }
}

/** `dynamic-topic-config` as Kafka writes it: `DYNAMIC_TOPIC_CONFIG`. */
export function sourceText(source: ConfigSource): string {
  return source.toUpperCase().replaceAll('-', '_')
}
