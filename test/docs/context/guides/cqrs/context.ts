export {
  CommandHandler,
  EventBus,
  EventsHandler,
  ofType,
  Saga,
  type ICommand,
  type ICommandHandler,
  type IEvent,
  type IEventHandler,
} from '@nestjs/cqrs';

export class FinishTask {
  constructor(readonly taskId: string) {}
}

export class TaskFinished {
  constructor(
    readonly tenantId: string,
    readonly taskId: string,
  ) {}
}

export class NotifyOwner {
  constructor(
    readonly tenantId: string,
    readonly taskId: string,
  ) {}
}
