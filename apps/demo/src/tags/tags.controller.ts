import { Body, ConflictException, Controller, Get, Post } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import { InjectRepository } from '@nestjs/typeorm';
import type { Repository } from 'typeorm';
import { isUniqueViolation } from '../database/postgres-errors.js';
import { object, text, type Infer } from '../validation/schema.js';
import { Tag } from './tag.entity.js';

const newTag = object({ name: text(40) });

@ApiTags('tags')
@ApiBearerAuth()
@Controller('tags')
export class TagsController {
  constructor(@InjectRepository(Tag) private readonly tags: Repository<Tag>) {}

  @Get()
  @ApiOperation({ summary: 'All tags of the workspace' })
  list(): Promise<Tag[]> {
    return this.tags.find({ order: { name: 'ASC' } });
  }

  @Post()
  @ApiOperation({ summary: 'Add a tag' })
  async create(@Body({ schema: newTag }) input: Infer<typeof newTag>): Promise<Tag> {
    try {
      return await this.tags.save(this.tags.create(input));
    } catch (error) {
      if (isUniqueViolation(error)) throw new ConflictException(`There is a tag "${input.name}" already.`);
      throw error;
    }
  }
}
