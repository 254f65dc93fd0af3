import { aclPath, DELEGATION_TOKENS, encodeAcls, encodeDelegationToken, quotaConfig, sanitize, scramConfig } from '../security-znodes.ts'
import { DEFAULT_ENTITY, encodeConfigs, encodeFeatures, FEATURE } from '../znodes.ts'
import { type AccessControlEntry, type KraftState, type QuotaEntity, TOPIC_RESOURCE } from './kraft-state.ts'

/** Features that say how clients and brokers talk. What KRaft's own say (metadata.version, kraft.version, …) means nothing in this store. */
const KEPT_FEATURES: ReadonlySet<string> = new Set(['group.version', 'transaction.version', 'share.version', 'streams.version'])

/** Folders under /config by the type of a ConfigRecord; topics are written with their topic. Source: ConfigResource.Type, ConfigType of Kafka 3.9. */
const CONFIG_FOLDERS: ReadonlyMap<number, string> = new Map([
  [4, 'brokers'],
  [8, 'broker-loggers'],
  [16, 'client-metrics'],
  [32, 'groups'],
])

const nothing = Buffer.alloc(0)

/**
 * The nodes of all that a KRaft cluster knew besides its topics and producer ids: configurations of brokers, groups and client metrics, users with
 * their credentials, quotas, ACLs, delegation tokens, features. Parents come before children.
 * @throws Error when the store has no place for something: nothing may be dropped
 */
export function nodesOfKraft(state: KraftState): [path: string, data: Buffer][] {
  const nodes = new Map<string, Buffer>([[FEATURE, featuresOf(state)]])
  const put = (path: string, data: Buffer) => {
    for (let slash = path.indexOf('/', 1); slash > 0; slash = path.indexOf('/', slash + 1)) {
      const parent = path.slice(0, slash)
      if (!nodes.has(parent)) nodes.set(parent, nothing)
    }
    nodes.set(path, data)
  }
  for (const [path, configs] of entitiesOf(state)) put(path, encodeConfigs(configs))
  for (const [path, acls] of aclsOf(state)) put(path, encodeAcls(acls))
  for (const token of state.tokens) put(`${DELEGATION_TOKENS}/${token.tokenId}`, encodeDelegationToken(token))
  return [...nodes]
}

function featuresOf({ features }: KraftState): Buffer {
  return encodeFeatures(new Map([...features].filter(([name]) => KEPT_FEATURES.has(name))))
}

/** By path: configurations of resources, and of users and clients their credentials and quotas. */
function entitiesOf(state: KraftState): Map<string, Map<string, string>> {
  const entities = new Map<string, Map<string, string>>()
  const configsAt = (path: string): Map<string, string> => {
    const configs = entities.get(path) ?? new Map<string, string>()
    entities.set(path, configs)
    return configs
  }
  for (const { type, name, configs } of state.resources) {
    if (type === TOPIC_RESOURCE) continue
    const folder = CONFIG_FOLDERS.get(type)
    if (folder === undefined) throw new Error(`the configurations of ${name} are of the unknown resource type ${type}`)
    const at = configsAt(`/config/${folder}/${name === '' ? DEFAULT_ENTITY : sanitize(name)}`)
    for (const [key, text] of configs) at.set(key, text)
  }
  for (const credential of state.credentials) configsAt(`/config/users/${sanitize(credential.name)}`).set(...scramConfig(credential))
  for (const { entity, quotas } of state.quotas) {
    const at = configsAt(quotaPath(entity))
    for (const [key, value] of quotas) at.set(...quotaConfig(key, value))
  }
  return entities
}

/** @throws Error for a combination that Kafka does not have */
function quotaPath(entity: QuotaEntity): string {
  const parts = new Map(
    entity.map(({ entityType, entityName }) => [entityType, entityName === null ? DEFAULT_ENTITY : sanitize(entityName)]),
  )
  const [user, client, ip] = ['user', 'client-id', 'ip'].map((type) => parts.get(type))
  if (parts.size === 2 && user !== undefined && client !== undefined) return `/config/users/${user}/clients/${client}`
  if (parts.size === 1 && user !== undefined) return `/config/users/${user}`
  if (parts.size === 1 && client !== undefined) return `/config/clients/${client}`
  if (parts.size === 1 && ip !== undefined) return `/config/ips/${ip}`
  throw new Error(`a quota of the unknown entity ${[...parts].map(([type, name]) => `${type}=${name}`).join(',')}`)
}

function aclsOf(state: KraftState): Map<string, AccessControlEntry[]> {
  const resources = new Map<string, AccessControlEntry[]>()
  for (const acl of state.acls) {
    const path = aclPath(acl)
    const acls = resources.get(path)
    if (acls === undefined) resources.set(path, [acl])
    else acls.push(acl)
  }
  return resources
}
