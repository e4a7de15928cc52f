import { Body, ConflictException, Controller, Get, Post } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import { InjectRepository } from '@nestjs/typeorm';
import type { Repository } from 'typeorm';
import { isUniqueViolation } from '../database/postgres-errors.js';
import { object, optional, text, type Infer } from '../validation/schema.js';
import { Project } from './project.entity.js';

const newProject = object({ name: text(80), description: optional(text(500)) });

@ApiTags('projects')
@ApiBearerAuth()
@Controller('projects')
export class ProjectsController {
  constructor(@InjectRepository(Project) private readonly projects: Repository<Project>) {}

  @Get()
  @ApiOperation({ summary: 'All projects, which means: those of the workspace' })
  list(): Promise<Project[]> {
    return this.projects.find({ order: { name: 'ASC' } });
  }

  @Post()
  @ApiOperation({ summary: 'Start a project; the tenant column fills itself' })
  async create(@Body({ schema: newProject }) input: Infer<typeof newProject>): Promise<Project> {
    try {
      return await this.projects.save(this.projects.create(input));
    } catch (error) {
      if (isUniqueViolation(error))
        throw new ConflictException(`There is a project "${input.name}" already.`);
      throw error;
    }
  }
}
