export { Command, CommandRunner, Option } from 'nest-commander';
