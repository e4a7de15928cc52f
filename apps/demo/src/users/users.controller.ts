import { Controller, Get, NotFoundException } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import { InjectRepository } from '@nestjs/typeorm';
import type { Repository } from 'typeorm';
import { CurrentUser, type SignedInUser } from '../auth/signed-in-user.js';
import { Workspace } from '../workspaces/workspace.entity.js';
import { AppUser } from './app-user.entity.js';

@ApiTags('users')
@ApiBearerAuth()
@Controller()
export class UsersController {
  constructor(
    @InjectRepository(AppUser) private readonly users: Repository<AppUser>,
    @InjectRepository(Workspace) private readonly workspaces: Repository<Workspace>,
  ) {}

  @Get('me')
  @ApiOperation({ summary: 'Who is signed in, and the workspace that every other answer is limited to' })
  async me(@CurrentUser() { id, workspaceId }: SignedInUser) {
    const [account, workspace] = await Promise.all([
      this.users.findOneBy({ id }),
      // The one table without a policy, so the one query that names its row.
      this.workspaces.findOneBy({ id: workspaceId }),
    ]);
    if (account === null || workspace === null) throw new NotFoundException('Your account was deleted.');
    const { name, email, jobTitle } = account;
    return { id, name, email, jobTitle, workspace };
  }

  @Get('users')
  @ApiOperation({ summary: 'The members of the workspace' })
  list(): Promise<AppUser[]> {
    return this.users.find({ order: { name: 'ASC' } });
  }
}
