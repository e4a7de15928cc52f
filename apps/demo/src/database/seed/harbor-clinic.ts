import { task, type SeedWorkspace } from './seed-workspace.js';

const SAMIRA = 'Samira Haddad';
const JONAS = 'Jonas Weber';
const ELENA = 'Elena Petrova';

/** An outpatient clinic: the kind of neighbour whose rows must never show up elsewhere. */
export const harborClinic: SeedWorkspace = {
  id: '7f3a2d10-8c65-4be1-8e0d-5a9b6c2d0002',
  name: 'Harbor Clinic',
  users: [
    { name: SAMIRA, email: 'samira@harbor.example', jobTitle: 'Medical director' },
    { name: JONAS, email: 'jonas@harbor.example', jobTitle: 'Practice manager' },
    { name: ELENA, email: 'elena@harbor.example', jobTitle: 'Head nurse' },
  ],
  tags: ['audit', 'equipment', 'hygiene', 'patients', 'privacy', 'rota', 'training', 'urgent'],
  projects: [
    {
      name: 'Cardiology wing',
      description: 'Opening the new outpatient rooms for cardiology.',
      tasks: [
        task('Accept the echo machine from the supplier', 'done', 'high', -14, SAMIRA, ['equipment']),
        task('Room plan approved by the fire inspector', 'done', 'high', -11, JONAS, ['audit']),
        task('Order ECG electrodes for three months', 'done', 'normal', -5, ELENA, ['equipment']),
        task('Calibrate the treadmill', 'in_progress', 'normal', 3, ELENA, ['equipment']),
        task('Interview the second cardiologist', 'in_progress', 'high', 2, SAMIRA, ['rota']),
        task('Emergency cart: contents and seal', 'in_progress', 'high', 1, ELENA, ['equipment', 'urgent']),
        task('Signs from the lobby to the new rooms', 'todo', 'low', 12, JONAS, ['patients']),
        task('Leaflet: what happens in a stress test', 'todo', 'normal', 10, SAMIRA, ['patients']),
        task('Defibrillator training for reception', 'todo', 'high', 6, ELENA, ['training']),
        task('Hand rub dispensers at every door', 'todo', 'normal', 8, ELENA, ['hygiene']),
        task('Test the nurse call in room 2.14', 'todo', 'high', 4, JONAS, ['equipment', 'urgent']),
        task('Cleaning schedule for the wing', 'todo', 'normal', 15, ELENA, ['hygiene']),
      ],
    },
    {
      name: 'Patient portal',
      description: 'Appointments, findings and letters online.',
      tasks: [
        task('Data protection impact assessment', 'done', 'high', -20, JONAS, ['audit', 'privacy']),
        task('Choose the identity provider', 'done', 'high', -13, JONAS, ['privacy']),
        task('Consent texts in four languages', 'done', 'normal', -7, SAMIRA, ['patients', 'privacy']),
        task('Let patients move an appointment', 'in_progress', 'normal', 5, JONAS, ['patients']),
        task('Retention periods for uploaded findings', 'in_progress', 'high', 2, JONAS, [
          'audit',
          'privacy',
        ]),
        task('Pilot with twenty patients', 'in_progress', 'normal', 9, SAMIRA, ['patients']),
        task('Who opened which record: monthly report', 'todo', 'high', 7, JONAS, ['audit', 'privacy']),
        task('Reminder two days before the visit', 'todo', 'normal', 11, null, ['patients']),
        task('Show laboratory values with their range', 'todo', 'normal', 16, SAMIRA, ['patients']),
        task('Larger type for the letter view', 'todo', 'low', 18, JONAS, ['patients']),
        task('Penetration test by an outside firm', 'todo', 'high', 20, JONAS, ['audit', 'urgent']),
        task('Train the front desk on portal questions', 'todo', 'normal', 13, ELENA, ['training']),
        task('Delete test accounts before going live', 'todo', 'high', 22, JONAS, ['privacy']),
      ],
    },
    {
      name: 'Ward routine',
      description: 'What has to happen every week, whoever is on duty.',
      tasks: [
        task('Rota for the holiday weeks', 'done', 'high', -10, ELENA, ['rota']),
        task('Fridge temperature log reviewed', 'done', 'normal', -2, ELENA, ['audit', 'hygiene']),
        task('Flu vaccination of the staff', 'done', 'normal', -8, SAMIRA, ['training']),
        task('Medication cupboard: expired stock', 'in_progress', 'high', 1, ELENA, ['audit', 'urgent']),
        task('Night shift swap for the third week', 'in_progress', 'normal', 2, ELENA, ['rota']),
        task('Hygiene audit of treatment rooms', 'in_progress', 'high', 4, ELENA, ['audit', 'hygiene']),
        task('Replace two infusion pumps', 'todo', 'high', 6, JONAS, ['equipment']),
        task('Sharps containers: new collection day', 'todo', 'normal', 9, JONAS, ['hygiene']),
        task('Resuscitation course, group B', 'todo', 'high', 14, SAMIRA, ['training']),
        task('Wheelchairs: check brakes', 'todo', 'normal', 10, ELENA, ['equipment']),
        task('Interpreter for Tuesday consultations', 'todo', 'normal', 5, SAMIRA, ['patients', 'rota']),
        task('Shredder bins next to the printers', 'todo', 'normal', 12, JONAS, ['privacy']),
      ],
    },
  ],
};
