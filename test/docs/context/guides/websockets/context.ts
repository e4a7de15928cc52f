import type { User } from '../../common.js';

export {
  SubscribeMessage,
  WebSocketGateway,
  type OnGatewayConnection,
  type OnGatewayInit,
} from '@nestjs/websockets';
export { IncomingMessage } from 'node:http';
export { Server, type Socket } from 'socket.io';
export { WebSocket } from 'ws';

export declare class AuthService {
  verify(token: unknown): Promise<User>;
}
