import { Body, Controller, Get, HttpCode, Post } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import { CurrentUser, type SignedInUser } from '../auth/signed-in-user.js';
import { DEMO_WORKSPACES } from '../database/seed/demo-workspaces.js';
import { object, text, type Infer } from '../validation/schema.js';
import { consoleAttacks } from './console-attacks.js';
import type { ConsoleResult } from './console-result.js';
import { ConsoleService, LIMITS } from './console.service.js';

const typed = object({ sql: text(LIMITS.characters) });

@ApiTags('SQL console')
@ApiBearerAuth()
@Controller('console')
export class ConsoleController {
  constructor(private readonly console: ConsoleService) {}

  @Get()
  @ApiOperation({ summary: 'What can be tried, and what a run is limited to' })
  describe(@CurrentUser() { workspaceId }: SignedInUser) {
    const other = DEMO_WORKSPACES.find(({ id }) => id !== workspaceId)!;
    return {
      otherWorkspace: { id: other.id, name: other.name },
      attacks: consoleAttacks(other.id),
      limits: LIMITS,
    };
  }

  @Post()
  @HttpCode(200)
  @ApiOperation({ summary: 'Run any SQL, as it is, as the signed-in tenant' })
  run(
    @Body({ schema: typed }) { sql }: Infer<typeof typed>,
    @CurrentUser() { workspaceId }: SignedInUser,
  ): Promise<ConsoleResult> {
    return this.console.run(sql, workspaceId);
  }
}
