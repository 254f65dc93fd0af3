export * from './frame-reader.ts'
export * from './frame-server.ts'
export * from './framed-connection.ts'
export { type ConnectionLimits, defaultLimits, type FrameHandler, type Reply, type ServerConnection } from './server-connection.ts'
