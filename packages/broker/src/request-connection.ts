/** The connection a request came on. */
export interface RequestConnection {
  /** `local address:port-remote address:port-sequence`, unique while the broker runs. */
  readonly id: string
  /** The peer's IP address; Kafka shows it as `/127.0.0.1` in group descriptions. */
  readonly remoteAddress: string
  readonly remotePort: number
  readonly listenerName: string
  /** What the client told in ApiVersions 3 and later, empty before. Source: KIP-511. */
  clientSoftwareName: string
  clientSoftwareVersion: string
  /** True once the socket is gone; an answer is then dropped. */
  readonly closed: boolean
  /** Calls `listener` once when the connection closes; the returned function takes it back. */
  onClose(listener: () => void): () => void
}
