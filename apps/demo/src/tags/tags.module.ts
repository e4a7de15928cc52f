import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { Tag } from './tag.entity.js';
import { TagsController } from './tags.controller.js';

@Module({ imports: [TypeOrmModule.forFeature([Tag])], controllers: [TagsController] })
export class TagsModule {}
