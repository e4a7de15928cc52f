import {
  day,
  listOf,
  nullable,
  object,
  oneOf,
  optional,
  text,
  uuid,
  type Infer,
} from '../validation/schema.js';
import { TASK_PRIORITIES, TASK_STATUSES } from './task.entity.js';

const MAX_TAGS = 10;

/** A task's id in the path. */
export const taskId = uuid();
/** The query string of the list. */
export const taskFilter = object({ status: optional(oneOf(TASK_STATUSES)), projectId: optional(uuid()) });
const details = {
  status: optional(oneOf(TASK_STATUSES)),
  priority: optional(oneOf(TASK_PRIORITIES)),
  dueDate: optional(nullable(day())),
  assigneeId: optional(nullable(uuid())),
  tagIds: optional(listOf(uuid(), MAX_TAGS)),
};
/** The body of a new task. */
export const newTask = object({ title: text(200), projectId: uuid(), ...details });
/** The body of a change. */
export const taskChanges = object({ title: optional(text(200)), projectId: optional(uuid()), ...details });

/** What may be asked of the list. */
export type TaskFilter = Infer<typeof taskFilter>;
/** What a new task is made of. */
export type NewTask = Infer<typeof newTask>;
/** What may change in a task; whatever is left out stays. */
export type TaskChanges = Infer<typeof taskChanges>;
