import { Controller, Get, HttpCode, NotFoundException, Param, Post } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiParam, ApiTags } from '@nestjs/swagger';
import { CurrentUser, type SignedInUser } from '../auth/signed-in-user.js';
import { LAB_QUERIES } from './lab-queries.js';
import type { LabResult } from './lab-result.js';
import { LabService } from './lab.service.js';

@ApiTags('query lab')
@ApiBearerAuth()
@Controller('lab')
export class LabController {
  constructor(private readonly lab: LabService) {}

  @Get()
  @ApiOperation({ summary: 'The statements that can be run' })
  list() {
    return LAB_QUERIES.map(({ id, title, description, sql }) => ({ id, title, description, sql }));
  }

  @Post(':queryId')
  @HttpCode(200)
  @ApiParam({ name: 'queryId', enum: LAB_QUERIES.map(({ id }) => id) })
  @ApiOperation({ summary: 'Run one of them, unfiltered, as the signed-in tenant' })
  run(@Param('queryId') queryId: string, @CurrentUser() { workspaceId }: SignedInUser): Promise<LabResult> {
    const query = LAB_QUERIES.find(({ id }) => id === queryId);
    if (query === undefined) throw new NotFoundException('No such query.');
    return this.lab.run(query, workspaceId);
  }
}
