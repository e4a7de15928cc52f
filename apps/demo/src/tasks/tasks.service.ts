import { BadRequestException, Injectable, NotFoundException } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { In, type DeepPartial, type Repository } from 'typeorm';
import { Project } from '../projects/project.entity.js';
import { Tag } from '../tags/tag.entity.js';
import { AppUser } from '../users/app-user.entity.js';
import { Task } from './task.entity.js';
import type { NewTask, TaskChanges, TaskFilter } from './task.input.js';

const WITH_EVERYTHING = { project: true, assignee: true, tags: true } as const;

/**
 * Plain repositories, no tenant anywhere: neither in a WHERE clause nor in a value. What another workspace owns does
 * not exist here, so asking for it is answered like asking for something that never was.
 */
@Injectable()
export class TasksService {
  constructor(
    @InjectRepository(Task) private readonly tasks: Repository<Task>,
    @InjectRepository(Project) private readonly projects: Repository<Project>,
    @InjectRepository(Tag) private readonly tags: Repository<Tag>,
    @InjectRepository(AppUser) private readonly users: Repository<AppUser>,
  ) {}

  /** Tasks in the order they are due, those without a date last. */
  list({ status, projectId }: TaskFilter): Promise<Task[]> {
    return this.tasks.find({
      where: { ...(status && { status }), ...(projectId && { project: { id: projectId } }) },
      relations: WITH_EVERYTHING,
      order: { dueDate: { direction: 'ASC', nulls: 'LAST' }, title: 'ASC', tags: { name: 'ASC' } },
    });
  }

  /** @throws NotFoundException if the workspace has no such task. */
  async get(id: string): Promise<Task> {
    const task = await this.tasks.findOne({ where: { id }, relations: WITH_EVERYTHING });
    if (task === null) throw new NotFoundException('No such task.');
    return task;
  }

  /** @throws BadRequestException if the project, the assignee or a tag is not the workspace's. */
  async create(input: NewTask): Promise<Task> {
    const task = await this.tasks.save(this.tasks.create(await this.resolve(input)));
    return this.get(task.id);
  }

  /** @throws NotFoundException and BadRequestException as {@link get} and {@link create} do. */
  async update(id: string, changes: TaskChanges): Promise<Task> {
    const task = await this.get(id);
    await this.tasks.save(Object.assign(task, await this.resolve(changes)));
    return this.get(id);
  }

  /** @throws NotFoundException if the workspace has no such task. */
  async remove(id: string): Promise<void> {
    const { affected } = await this.tasks.delete({ id });
    if (affected === 0) throw new NotFoundException('No such task.');
  }

  /** Replaces ids by the rows they stand for. A row that the policy hides is a row that does not exist. */
  private async resolve({
    projectId,
    assigneeId,
    tagIds,
    ...columns
  }: TaskChanges): Promise<DeepPartial<Task>> {
    const task: DeepPartial<Task> = columns;
    if (projectId) task.project = await this.require('project', this.projects.findOneBy({ id: projectId }));
    if (assigneeId === null) task.assignee = null;
    if (assigneeId) task.assignee = await this.require('assignee', this.users.findOneBy({ id: assigneeId }));
    if (tagIds) task.tags = await this.requireTags(tagIds);
    return task;
  }

  private async require<Row>(name: string, row: Promise<Row | null>): Promise<Row> {
    return (await row) ?? unknown(name);
  }

  private async requireTags(ids: string[]): Promise<Tag[]> {
    const tags = await this.tags.findBy({ id: In(ids) });
    return tags.length === ids.length ? tags : unknown('tag');
  }
}

function unknown(name: string): never {
  throw new BadRequestException(`The workspace has no such ${name}.`);
}
