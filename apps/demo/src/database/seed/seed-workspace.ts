import type { TaskPriority, TaskStatus } from '../../tasks/task.entity.js';

/** A workspace as the seed describes it. Names stand for rows; ids are derived from them. */
export interface SeedWorkspace {
  readonly id: string;
  readonly name: string;
  readonly users: readonly SeedUser[];
  readonly tags: readonly string[];
  readonly projects: readonly SeedProject[];
}

export interface SeedUser {
  readonly name: string;
  readonly email: string;
  readonly jobTitle: string;
}

export interface SeedProject {
  readonly name: string;
  readonly description: string;
  readonly tasks: readonly SeedTask[];
}

/** `dueInDays` counts from the day of seeding; a negative number is overdue (or, when done, was on time). */
export interface SeedTask {
  readonly title: string;
  readonly status: TaskStatus;
  readonly priority: TaskPriority;
  readonly dueInDays: number | null;
  readonly assignee: string | null;
  readonly tags: readonly string[];
}

/** One line of a seed file. */
export function task(
  title: string,
  status: TaskStatus,
  priority: TaskPriority,
  dueInDays: number | null,
  assignee: string | null,
  tags: readonly string[] = [],
): SeedTask {
  return { title, status, priority, dueInDays, assignee, tags };
}
