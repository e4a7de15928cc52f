export { EventEmitter2, OnEvent } from '@nestjs/event-emitter';
