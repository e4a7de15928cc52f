import { Injectable, UnauthorizedException } from '@nestjs/common';
import { JwtService } from '@nestjs/jwt';
import { InjectRepository } from '@nestjs/typeorm';
import { adminContext } from 'nestjs-rls-tenants';
import type { Repository } from 'typeorm';
import { AppUser } from '../users/app-user.entity.js';
import { verifyPassword } from './password.js';
import type { SignedInUser } from './signed-in-user.js';

/** How long a token is good for, in seconds. */
export const TOKEN_LIFETIME = 3600;

/** What a successful sign-in hands out. */
export interface SignIn {
  token: string;
  expiresIn: number;
  user: SignedInUser;
}

/** Exchanges e-mail address and password for a token. */
@Injectable()
export class AuthService {
  constructor(
    @InjectRepository(AppUser) private readonly users: Repository<AppUser>,
    private readonly jwt: JwtService,
  ) {}

  /** @throws UnauthorizedException with one message for unknown addresses and for wrong passwords. */
  async signIn(email: string, password: string): Promise<SignIn> {
    const account = await this.findAccount(email);
    if (!(await verifyPassword(password, account?.passwordHash)) || account === null) {
      throw new UnauthorizedException('Wrong e-mail address or password.');
    }
    const user = { id: account.id, name: account.name, email: account.email, workspaceId: account.tenantId };
    const { id: sub, ...claims } = user;
    return { token: await this.jwt.signAsync({ sub, ...claims }), expiresIn: TOKEN_LIFETIME, user };
  }

  /** The one query of the product that looks across tenants: before signing in, nobody knows the workspace. */
  private findAccount(email: string): Promise<AppUser | null> {
    return adminContext('sign-in: the address decides which workspace the caller belongs to', () =>
      this.users.findOne({
        where: { email: email.toLowerCase() },
        select: { id: true, name: true, email: true, tenantId: true, passwordHash: true },
      }),
    );
  }
}
