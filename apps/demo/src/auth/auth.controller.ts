import { Body, Controller, Get, HttpCode, Post } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { DEMO_ACCOUNTS, DEMO_PASSWORD } from '../database/seed/demo-workspaces.js';
import { object, text, type Infer } from '../validation/schema.js';
import { AuthService, type SignIn } from './auth.service.js';
import { Public } from './public.decorator.js';

const credentials = object({ email: text(254), password: text(128) });

@ApiTags('auth')
@Controller('auth')
export class AuthController {
  constructor(private readonly auth: AuthService) {}

  @Post('login')
  @HttpCode(200)
  @Public()
  @ApiOperation({ summary: 'Exchange e-mail address and password for a bearer token' })
  login(@Body({ schema: credentials }) { email, password }: Infer<typeof credentials>): Promise<SignIn> {
    return this.auth.signIn(email, password);
  }

  /** Only a demo may do this. The list is the seed's own and asks the database nothing. */
  @Get('demo-accounts')
  @Public()
  @ApiOperation({ summary: 'The accounts one can try, and their password' })
  demoAccounts() {
    return { password: DEMO_PASSWORD, workspaces: DEMO_ACCOUNTS };
  }
}
